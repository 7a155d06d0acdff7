/**
 * Who may call the client's HTTP pages: the host whitelist (against DNS rebinding, CVE-2018-5702), CORS, and who must not
 * take the gateway for a place where a certificate makes a user.
 *
 * @see etcd server/embed/serve.go, `accessController`
 */
import type { PageRequest, PageResponse } from "./page.ts";
import type { TlsIdentity } from "../platform/network.ts";
import { sendError } from "./responses.ts";

export interface AccessRules {
  /** `*` alone allows every origin. */
  readonly cors: readonly string[];
  /** `*`, or nothing at all, allows every host. */
  readonly hostWhitelist: readonly string[];
  /**
   * Common names of certificates are user names for gRPC now, and the gateway below this path does not honour them: a
   * caller with one is told so, rather than being served as nobody.
   */
  readonly namelessPath?: () => string | undefined;
}

/** What the rules look at beside the request. */
export interface AccessSubject {
  /** Undefined on a plain connection. */
  readonly tls: TlsIdentity | undefined;
  /** Undefined for a target that is no URL. */
  readonly path: string | undefined;
}

/** Sets the CORS headers and answers what needs no page. @returns true when the request was answered. */
export function answeredByRules(
  rules: AccessRules,
  request: PageRequest,
  response: PageResponse,
  { tls, path }: AccessSubject,
): boolean {
  if (tls === undefined) {
    const host = hostName(request.headers.host ?? "");
    const allHosts = rules.hostWhitelist.length === 0 || rules.hostWhitelist.includes("*");
    if (!allHosts && !rules.hostWhitelist.includes(host)) {
      sendError(response, 421, unrecognisedHost(host));
      return true;
    }
  } else if (tls.verified && (tls.commonName ?? "") !== "") {
    const nameless = rules.namelessPath?.();
    if (nameless !== undefined && path?.startsWith(nameless) === true) {
      sendError(response, 400, namedCertificate);
      return true;
    }
  }
  const origin = allowedOrigin(rules.cors, request.headers.origin);
  if (origin !== undefined) {
    response.setHeader("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE");
    response.setHeader("Access-Control-Allow-Origin", origin);
    response.setHeader("Access-Control-Allow-Headers", "accept, content-type, authorization");
  }
  if (request.method !== "OPTIONS") return false;
  response.writeHead(200, { "Content-Length": 0 });
  response.end();
  return true;
}

function allowedOrigin(cors: readonly string[], origin: string | undefined): string | undefined {
  if (cors.includes("*")) return "*";
  return origin !== undefined && cors.includes(origin) ? origin : undefined;
}

function hostName(header: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(header);
  if (bracketed !== null) return bracketed[1];
  const colon = header.lastIndexOf(":");
  return colon < 0 ? header : header.slice(0, colon);
}

/** This and the next: etcd's words, which people search for. */
const namedCertificate =
  "CommonName of client sending a request against gateway will be ignored and not used as expected";

function unrecognisedHost(host: string): string {
  return `
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist ${JSON.stringify(host)}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`;
}
