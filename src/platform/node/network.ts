/**
 * Sockets of the Node binding: TCP and Unix streams over node:net.
 *
 * Reading is the hot path. A socket that hands out its chunks by events allocates 64 KiB for each read and walks through
 * the stream machinery; since a chunk is only borrowed, all connections read into one shared buffer instead, by node:net's
 * `onread`. Measured for messages of 200 bytes on 50 connections: a quarter less CPU (7.9 instead of 10.4 µs a message),
 * on one connection also (40 instead of 53 µs). `onread` can only be chosen when a socket is made, and then stays, while
 * HTTP/1.1 needs the events: an accepted connection therefore begins as an ordinary socket and moves to a new one, over
 * the same handle, once it has received more than the sniffer needs to tell the protocols apart.
 *
 * Writes go straight to the socket, which tries the system call at once; only what the system did not take waits
 * (`waitingBytes`).
 *
 * TLS (`tls-acceptor.ts`, `tls-dial.ts`) wraps the accepted or connected socket; such a connection stays an ordinary one.
 * Its code is loaded when it is first needed: node:tls costs a command line that runs for 30 ms another four.
 */
import * as net from "node:net";
import { assert } from "../../base/assert.ts";
import type { ConnectionPlaces } from "../connection-places.ts";
import {
  type Address,
  type Connection,
  type ConnectionHandlers,
  type ConnectOptions,
  type ListenOptions,
  type Listener,
  type Network,
  type NetworkError,
  type TlsIdentity,
} from "../network.ts";
import type { ClientTls, ServerTls, TlsMaterial } from "../tls.ts";
import { networkError, timedOut } from "./network-errors.ts";
import type { TlsAcceptor } from "./tls-acceptor.ts";

/** `write` returns false when more than this waits in the process; about what a fast link drains in a few ms. */
const WAITING_BYTES_HIGH = 256 << 10;
/** Pending connections in the kernel; Linux cuts it to net.core.somaxconn, which is also what Go asks for. */
const BACKLOG = 4096;
/** etcd's TCP keep-alive period on accepted connections. */
const KEEP_ALIVE_MS = 30_000;

/** After this many bytes {@link NodeConnection.detach} is no longer asked for: the length of HTTP/2's preface. */
const DETACHABLE_BYTES = 24;

/** Every connection reads into this; a chunk is used up before the next read. */
const readBuffer = new Uint8Array(64 << 10);

export class NodeNetwork implements Network {
  async listen(
    address: Address,
    onConnection: (connection: Connection) => void,
    options?: ListenOptions,
  ): Promise<Listener> {
    const places = options?.places;
    const acceptor = await acceptorFor(options?.tls, onConnection);
    const server = net.createServer(
      {
        // Under TLS a client that leaves during the handshake must not hold its place until that times out.
        allowHalfOpen: acceptor === undefined,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
        highWaterMark: WAITING_BYTES_HIGH,
      },
      (socket) => {
        if (places?.take() === false) {
          socket.destroy();
        } else if (acceptor === undefined) {
          onConnection(new NodeConnection(socket, true, undefined, places));
        } else {
          if (places !== undefined) socket.once("close", () => places.free());
          acceptor.accept(socket);
        }
      },
    );
    return await new Promise((resolve, reject) => {
      server.once("error", (error) => reject(networkError(error)));
      // Known to Node from 22.12 on, and not to its types yet.
      const sharing = options?.reusesPort === true ? { reusePort: true } : {};
      server.listen({ ...listenTarget(address), ...sharing, backlog: BACKLOG }, () => {
        server.removeAllListeners("error");
        // An accept that fails (EMFILE) concerns one connection, which the peer sees closed; the listener lives on.
        server.on("error", () => undefined);
        resolve(new NodeListener(server, acceptor));
      });
    });
  }

  connect(address: Address, options?: ConnectOptions): Promise<Connection> {
    const target = connectTarget(address, options?.localAddress);
    if (options?.tls !== undefined) return this.#connectSecurely(target, options.tls, options.timeoutMs ?? 0);
    let connection: NodeConnection | undefined;
    const settings = {
      ...target,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      highWaterMark: WAITING_BYTES_HIGH, // a stream option: known to Socket, missing in its types
      onread: readInto((chunk) => connection?.receive(chunk)),
    };
    let socket: net.Socket;
    try {
      socket = net.connect(settings);
    } catch (error) {
      // Node throws at once for a port that cannot be, such as 99999; Go's dial gives an error as for any other.
      return Promise.reject(networkError(error as Error));
    }
    return new Promise((resolve, reject) => {
      const timeoutMs = options?.timeoutMs ?? 0;
      const timer = timeoutMs > 0 ? setTimeout(() => socket.destroy(timedOut(timeoutMs)), timeoutMs) : undefined;
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(networkError(error));
      };
      socket.once("error", fail);
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.removeListener("error", fail);
        socket.pause(); // nothing is read before the owner has set its handlers
        connection = new NodeConnection(socket, false, undefined, undefined);
        resolve(connection);
      });
    });
  }

  async #connectSecurely(target: ConnectTarget, tls: ClientTls, timeoutMs: number): Promise<Connection> {
    const { dialTls } = await import("./tls-dial.ts");
    const { socket, identity } = await dialTls(target, tls, timeoutMs);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    return new NodeConnection(socket, true, identity, undefined);
  }

  async checkFiles(material: TlsMaterial): Promise<void> {
    const { TlsContextSource } = await import("./tls-files.ts");
    new TlsContextSource(material, false).context();
  }
}

type ConnectTarget =
  | { readonly path: string }
  | { readonly host: string; readonly port: number; readonly localAddress?: string };

function connectTarget(address: Address, localAddress: string | undefined): ConnectTarget {
  if ("path" in address) return { path: address.path };
  const { host, port } = address;
  return localAddress === undefined ? { host, port } : { host, port, localAddress };
}

async function acceptorFor(
  tls: ServerTls | undefined,
  onConnection: (connection: Connection) => void,
): Promise<TlsAcceptor | undefined> {
  if (tls === undefined) return undefined;
  const acceptor = await import("./tls-acceptor.ts");
  return new acceptor.TlsAcceptor(tls, (socket, identity) =>
    onConnection(new NodeConnection(socket, true, identity, undefined)),
  );
}

/** As in Go, an unspecified host (also `0.0.0.0`) means IPv6 and IPv4 alike where the system has both. */
function listenTarget(address: Address): net.ListenOptions {
  if ("path" in address) return { path: address.path };
  const { host, port } = address;
  if (host === "" || host === "0.0.0.0" || host === "::") return { port };
  return { host, port };
}

class NodeListener implements Listener {
  readonly address: Address;
  readonly #server: net.Server;
  readonly #acceptor: TlsAcceptor | undefined;

  constructor(server: net.Server, acceptor: TlsAcceptor | undefined) {
    this.#server = server;
    this.#acceptor = acceptor;
    const bound = server.address();
    if (bound === null || typeof bound === "string") this.address = { path: bound ?? "" };
    else this.address = { host: bound.address, port: bound.port };
  }

  /** The socket is closed when this returns; node's own callback would wait for the open connections too. */
  close(): Promise<void> {
    this.#server.close();
    this.#acceptor?.close();
    return Promise.resolve();
  }
}

class NodeConnection implements Connection {
  readonly tls: TlsIdentity | undefined;
  #socket: net.Socket;
  #handlers: ConnectionHandlers | undefined;
  #error: NetworkError | undefined;
  /** `write` returned false and `drained` has not been called since. */
  #full = false;
  /** The socket hands out its chunks by events, and {@link detach} is possible. */
  #isOrdinary: boolean;
  #receivedBytes = 0;
  readonly #places: ConnectionPlaces | undefined;

  /** @param places - where this connection has taken one, given back when the socket closes, whoever owns it then. */
  constructor(
    socket: net.Socket,
    isOrdinary: boolean,
    tls: TlsIdentity | undefined,
    places: ConnectionPlaces | undefined,
  ) {
    this.tls = tls;
    this.#places = places;
    if (places !== undefined) socket.once("close", this.#freePlace);
    this.#socket = socket;
    this.#isOrdinary = isOrdinary;
    socket.on("error", this.#onError);
  }

  get remote(): Address {
    const { remoteAddress, remotePort } = this.#socket;
    return remoteAddress === undefined ? { path: "" } : { host: remoteAddress, port: remotePort ?? 0 };
  }

  get local(): Address {
    const { localAddress, localPort } = this.#socket;
    return localAddress === undefined ? { path: "" } : { host: localAddress, port: localPort ?? 0 };
  }

  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  setHandlers(handlers: ConnectionHandlers): void {
    const first = this.#handlers === undefined;
    this.#handlers = handlers;
    if (!first) return;
    if (this.#isOrdinary) this.#socket.on("data", this.#onData);
    else this.#socket.resume();
    this.#listen(this.#socket);
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return true; // `closed` tells the owner; nothing will drain
    // Under TLS nothing is taken before this returns: whoever lent the bytes must hear of it.
    if (this.tls === undefined) socket.write(bytes);
    else socket.write(bytes, this.#onWritten);
    if (socket.writableLength <= WAITING_BYTES_HIGH) return true;
    this.#full = true;
    return false;
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * Gives away the `net.Socket`, paused and without our listeners: `unshift` the bytes already read, hand it on
   * (`server.emit("connection", socket)`), then `resume()` it. Callable from within `data`, while no more than
   * {@link DETACHABLE_BYTES} have been received before this chunk.
   */
  detach(): net.Socket {
    assert(this.#isOrdinary, "a connection is detached while its first bytes arrive");
    const socket = this.#socket;
    this.#handlers = undefined;
    socket.pause();
    this.#leave(socket);
    return socket;
  }

  /** Bytes from the system, in a buffer that is used again. */
  receive(chunk: Uint8Array): void {
    this.#handlers?.data(chunk);
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#handlers?.data(chunk);
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes >= DETACHABLE_BYTES && this.tls === undefined) process.nextTick(this.#useReadBuffer);
  };

  /**
   * Moves to a socket that reads into the shared buffer, over the same handle. Only when the old one holds nothing; if
   * it does, the next chunk tries again. `_handle` is how node:net itself passes connections on; without it the ordinary
   * socket stays in use.
   */
  readonly #useReadBuffer = (): void => {
    const old = this.#socket as net.Socket & { _handle?: StreamHandle | null };
    const handle = old._handle;
    if (!this.#isOrdinary || this.#handlers === undefined || handle?.readStop === undefined) return;
    const isBusy = old.readableLength > 0 || old.writableLength > 0 || old.isPaused();
    if (isBusy || old.destroyed || old.readableEnded || old.writableEnded) return;
    this.#isOrdinary = false;
    this.#leave(old);
    handle.readStop();
    handle.reading = false;
    old._handle = null;
    const settings = {
      handle,
      allowHalfOpen: true,
      highWaterMark: WAITING_BYTES_HIGH,
      onread: readInto((chunk) => this.receive(chunk)),
    };
    const socket = new net.Socket(settings);
    this.#socket = socket;
    if (this.#places !== undefined) {
      old.off("close", this.#freePlace);
      socket.once("close", this.#freePlace);
    }
    socket.on("error", this.#onError);
    this.#listen(socket);
    socket.resume();
  };

  #listen(socket: net.Socket): void {
    socket.on("end", this.#onEnd);
    socket.on("drain", this.#onDrain);
    socket.on("close", this.#onClose);
  }

  #leave(socket: net.Socket): void {
    socket.off("error", this.#onError);
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("drain", this.#onDrain);
    socket.off("close", this.#onClose);
  }

  readonly #onEnd = (): void => this.#handlers?.end();

  /** Node also emits `drain` after a write that went through at once; only a `write` that said false is answered. */
  readonly #onDrain = (): void => {
    if (!this.#full) return;
    this.#full = false;
    this.#handlers?.drained();
  };

  readonly #onError = (error: Error): void => {
    this.#error = networkError(error);
  };

  readonly #onWritten = (error?: Error | null): void => {
    if ((error === undefined || error === null) && this.#socket.writableLength === 0) this.#handlers?.emptied?.();
  };

  readonly #freePlace = (): void => this.#places?.free();

  readonly #onClose = (): void => this.#handlers?.closed(this.#error);
}

/** What node:net keeps in `_handle`, as far as it is used here. */
interface StreamHandle {
  reading: boolean;
  readStop(): number;
}

function readInto(receive: (chunk: Uint8Array) => void): net.OnReadOpts {
  return {
    buffer: readBuffer,
    callback(length) {
      receive(readBuffer.subarray(0, length));
      return true; // `pause` stops reading by itself
    },
  };
}
