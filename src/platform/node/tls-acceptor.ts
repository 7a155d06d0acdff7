/**
 * The accepting side of TLS: sockets go in, and come out when the handshake is done and the client's certificate has
 * passed all checks. Handshakes under way are limited in number and in time.
 */
import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import type { Address, TlsIdentity } from "../network.ts";
import type { ServerTls } from "../tls.ts";
import { checkAllowed, checkClientAddress, checkRevoked, identityOf } from "./certificate-checks.ts";
import { RevocationList, TlsContextSource } from "./tls-files.ts";
import { handshakeText, verificationText } from "./tls-texts.ts";

/** etcd's: all of a handshake, from the first byte on. */
const handshakeTimeoutMs = 10_000;
/** Handshakes under way on one listener; further clients are closed at once. Each holds some 50 KiB. */
const handshakesMax = 1024;

/** Node keeps the socket below in `_parent`; used for the address of a client that is gone. */
type WithParent = TLSSocket & { readonly _parent?: Socket };

export class TlsAcceptor {
  readonly #tls: ServerTls;
  readonly #files: TlsContextSource;
  readonly #revoked: RevocationList | undefined;
  readonly #server: Server;
  readonly #accepted: (socket: TLSSocket, identity: TlsIdentity) => void;
  readonly #underWay = new Set<Socket>();
  #options: SecureContextOptions;

  /** @throws {NetworkError} `ETLS` for files that cannot be used. */
  constructor(tls: ServerTls, accepted: (socket: TLSSocket, identity: TlsIdentity) => void) {
    this.#tls = tls;
    this.#accepted = accepted;
    this.#files = new TlsContextSource(tls, tls.requiresClientCertificate);
    this.#revoked = tls.crlFile === undefined ? undefined : new RevocationList(tls.crlFile);
    this.#options = this.#files.options();
    this.#server = createServer({
      ...this.#options,
      requestCert: tls.requiresClientCertificate,
      rejectUnauthorized: true,
      handshakeTimeout: handshakeTimeoutMs,
      ALPNCallback: ({ protocols }) => this.#protocolFor(protocols),
    });
    this.#server.on("secureConnection", (socket: TLSSocket) => void this.#check(socket));
    this.#server.on("tlsClientError", (error: Error, socket: TLSSocket) => this.#failed(error, socket));
  }

  /** Begins the handshake on a socket that was just accepted. */
  accept(socket: Socket): void {
    if (this.#underWay.size >= handshakesMax) {
      socket.destroy();
      return;
    }
    const options = this.#files.options();
    if (options !== this.#options) {
      this.#server.setSecureContext(options);
      this.#options = options;
    }
    this.#underWay.add(socket);
    remoteOf(socket); // now the socket remembers it
    socket.once("close", () => this.#underWay.delete(socket));
    this.#server.emit("connection", socket);
  }

  /** Ends the handshakes that are under way. */
  close(): void {
    for (const socket of this.#underWay) socket.destroy();
  }

  /** HTTP/2 for whoever can: calls and pages are both there. */
  #protocolFor(offered: readonly string[]): string | undefined {
    if (this.#tls.offersHttp2 && offered.includes("h2")) return "h2";
    return offered.includes("http/1.1") ? "http/1.1" : undefined;
  }

  async #check(socket: TLSSocket): Promise<void> {
    const onError = (): void => undefined; // the socket closes, which is all there is to know before it has an owner
    socket.on("error", onError);
    const certificate = socket.getPeerX509Certificate();
    try {
      checkAllowed(certificate, this.#tls);
      if (this.#revoked !== undefined) checkRevoked(socket, this.#revoked);
      if (this.#tls.checksClientAddress === true && certificate !== undefined) {
        await checkClientAddress(certificate, plainAddress(socket.remoteAddress ?? ""));
      }
    } catch (error) {
      this.#failed(error as Error, socket);
      return;
    }
    const below = (socket as WithParent)._parent;
    if (below !== undefined) this.#underWay.delete(below);
    if (socket.destroyed) return;
    this.#accepted(socket, identityOf(socket, certificate));
    socket.off("error", onError);
  }

  #failed(error: Error, socket: TLSSocket): void {
    // Set when the certificate did not verify; Node then says only that the connection was reset.
    const verdict = (socket as { authorizationError?: Error | string | null }).authorizationError;
    const text =
      typeof verdict === "string"
        ? `tls: failed to verify certificate: ${verificationText(verdict)}`
        : handshakeText(error);
    const described = new Error(text, { cause: error });
    this.#tls.rejected(remoteOf((socket as WithParent)._parent ?? socket), described);
    socket.destroy();
  }
}

function remoteOf({ remoteAddress, remotePort }: Socket): Address {
  return remoteAddress === undefined ? { path: "" } : { host: plainAddress(remoteAddress), port: remotePort ?? 0 };
}

/** An IPv4 client on a socket that listens for IPv6 too. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, "");
}
