/** The connecting side of TLS: a socket whose server has proved who it is. */
import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { NetworkError, type TlsIdentity } from "../network.ts";
import type { ClientTls } from "../tls.ts";
import { checkAllowed, checkServerName, identityOf } from "./certificate-checks.ts";
import { networkError, timedOut } from "./network-errors.ts";
import { TlsContextSource } from "./tls-files.ts";
import { alertText, verificationText } from "./tls-texts.ts";

/** One set of files per set of options: who dials often passes the same object. */
const sources = new WeakMap<ClientTls, TlsContextSource>();

export interface SecureSocket {
  /** Not read from yet: reading begins with the first listener of its data. */
  readonly socket: TLSSocket;
  readonly identity: TlsIdentity;
}

type Target =
  | { readonly host: string; readonly port: number; readonly localAddress?: string }
  | { readonly path: string };

/** @throws {NetworkError} by rejection. */
export function dialTls(target: Target, tls: ClientTls, timeoutMs: number): Promise<SecureSocket> {
  return new Promise((resolve, reject) => {
    let source = sources.get(tls);
    if (source === undefined) sources.set(tls, (source = new TlsContextSource(tls, tls.verifiesServer)));
    const socket = connect({
      ...target,
      secureContext: source.context(),
      ALPNProtocols: [...tls.alpn],
      rejectUnauthorized: tls.verifiesServer,
      // Ours, below, does as Go does: a common name is not a host name.
      checkServerIdentity: () => undefined,
      ...(isIP(tls.serverName) === 0 && tls.serverName !== "" ? { servername: tls.serverName } : {}),
    });
    const timer = timeoutMs > 0 ? setTimeout(() => socket.destroy(timedOut(timeoutMs)), timeoutMs) : undefined;
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(described(error));
    };
    const closed = (): void => fail(new NetworkError("ECONNRESET", "EOF"));
    socket.once("error", fail);
    socket.once("close", closed);
    socket.once("secureConnect", () => {
      const certificate = socket.getPeerX509Certificate();
      try {
        if (tls.verifiesServer) checkServerName(certificate, tls.serverName);
        checkAllowed(certificate, tls);
      } catch (error) {
        fail(handshakeError(`tls: failed to verify certificate: ${(error as Error).message}`, error));
        return;
      }
      clearTimeout(timer);
      resolve({ socket, identity: identityOf(socket, certificate) });
      socket.off("error", fail);
      socket.off("close", closed);
      // Until its owner listens, which is within this turn; an error before that shows as a closed socket.
      socket.on("error", () => undefined);
    });
  });
}

function described(error: Error): NetworkError {
  if (error instanceof NetworkError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const text = verificationText(code);
  if (text !== code) return handshakeError(`tls: failed to verify certificate: ${text}`, error);
  const alert = alertText(code);
  if (alert !== undefined) return handshakeError(alert, error);
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG") {
    return handshakeError("tls: first record does not look like a TLS handshake", error);
  }
  // Node's way to say that the other end closed the connection, as an etcd without TLS does.
  if (error.message.startsWith("Client network socket disconnected")) return handshakeError("EOF", error);
  if (code.startsWith("ERR_SSL_") || code === "EPROTO") return handshakeError(error.message, error);
  return networkError(error);
}

function handshakeError(message: string, cause: unknown): NetworkError {
  return new NetworkError("ETLS", message, { cause });
}
