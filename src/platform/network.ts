/** Stream sockets: TCP and Unix, plain or under TLS. */
import type { ConnectionPlaces } from "./connection-places.ts";
import type { ClientTls, ServerTls, TlsMaterial } from "./tls.ts";

export interface Network {
  /**
   * @param options.places - a connection that finds none is closed at once; undefined = no limit.
   * @param options.tls - `onConnection` gets connections whose handshake is done and whose certificate is accepted.
   * @throws {NetworkError} `EADDRINUSE`, `EACCES`, ...; `ETLS` for certificate files that cannot be used. By rejection.
   */
  listen(address: Address, onConnection: (connection: Connection) => void, options?: ListenOptions): Promise<Listener>;
  /**
   * @param options.timeoutMs - for all of it, the handshake included; 0 = the system's.
   * @throws {NetworkError} the system's code; `ETLS` when the handshake fails, with Go's text. By rejection.
   */
  connect(address: Address, options?: ConnectOptions): Promise<Connection>;
  /** Reads certificate, key and CA as a later connection will. @throws {NetworkError} `ETLS`, with Go's text. By rejection. */
  checkFiles(material: TlsMaterial): Promise<void>;
}

export interface ConnectOptions {
  readonly timeoutMs?: number;
  readonly tls?: ClientTls | undefined;
  /** IP address of this machine that the connection comes from; default: the system's choice. */
  readonly localAddress?: string | undefined;
}

export interface ListenOptions {
  /** Other processes may listen at the same port, which shares the connections out. */
  readonly reusesPort?: boolean | undefined;
  readonly tls?: ServerTls | undefined;
  readonly places?: ConnectionPlaces | undefined;
}

/** `host` empty or `0.0.0.0`/`::` = every interface; `port` 0 = any free one. `path` = Unix socket. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

export interface Listener {
  /** The bound address, with the real port. */
  readonly address: Address;
  /** Stops accepting; open connections live on. */
  close(): Promise<void>;
}

/**
 * One duplex byte stream. Handlers are set right after the connection is handed over and before the loop turns; a later
 * owner (the sniffer hands over to the gRPC server) replaces them by setting its own.
 */
export interface Connection {
  readonly remote: Address;
  readonly local: Address;
  /** Set when the stream is a TLS session; what the peer proved. */
  readonly tls: TlsIdentity | undefined;
  /** @param handlers.data - the chunk is borrowed until the call returns: copy what is kept. */
  setHandlers(handlers: ConnectionHandlers): void;
  /**
   * Queues bytes; they belong to the connection until written. Returns false when more than the high-water mark
   * is waiting: stop producing until `drained`.
   */
  write(bytes: Uint8Array): boolean;
  /** Collects the writes made until `uncork` into one system call. */
  cork(): void;
  uncork(): void;
  /** Bytes accepted by `write` and not yet taken by the system. */
  readonly waitingBytes: number;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes the sending side. */
  end(): void;
  /** Closes at once; queued bytes are lost. */
  destroy(): void;
  /** Gives the raw Node socket away (HTTP/1.1 goes to Node's own server); undefined in the simulator. */
  detach(): unknown;
}

export interface ConnectionHandlers {
  data(chunk: Uint8Array): void;
  /** The peer closed its sending side. */
  end(): void;
  /** `waitingBytes` fell to zero after `write` returned false. */
  drained(): void;
  /**
   * `waitingBytes` fell to zero, whatever `write` returned. Connections that hand nothing to the system within `write`
   * (TLS) say so each time; others need not.
   */
  emptied?(): void;
  /** Exactly once, last. */
  closed(error: NetworkError | undefined): void;
}

export interface TlsIdentity {
  /** The peer presented a certificate that our roots verify. */
  readonly verified: boolean;
  /** Of that certificate; the last one when it has several, as in Go. */
  readonly commonName: string | undefined;
  /** What both ends agreed to speak; undefined when the client did not ask. */
  readonly alpn: string | undefined;
}

export class NetworkError extends Error {
  override readonly name = "NetworkError";
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
