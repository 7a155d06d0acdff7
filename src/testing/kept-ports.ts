/**
 * The network of a member inside a test: ports of the loopback interface that stay ours from the first start to the last
 * stop, so that a restarted member comes back at the same address and no other program can take it in between.
 */
import { type Address, type Connection, type Listener, type Network, NetworkError } from "../platform/network.ts";
import type { TlsMaterial } from "../platform/tls.ts";

const loopback = "127.0.0.1";

type Accept = (connection: Connection) => void;

interface KeptPort {
  readonly listener: Listener;
  /** Undefined while nobody listens: who connects then is turned away. */
  accept: Accept | undefined;
}

export class KeptPorts implements Network {
  readonly #network: Network;
  readonly #ports = new Map<number, KeptPort>();

  constructor(network: Network) {
    this.#network = network;
  }

  /** Takes a free port and keeps it. @returns its number. */
  async keep(): Promise<number> {
    const listener = await this.#network.listen({ host: loopback, port: 0 }, (connection) => {
      if (port.accept === undefined) connection.destroy();
      else port.accept(connection);
    });
    const port: KeptPort = { listener, accept: undefined };
    const { address } = listener;
    if ("path" in address) throw new NetworkError("EINVAL", "a port was asked for");
    this.#ports.set(address.port, port);
    return address.port;
  }

  /** On a kept port no socket is opened: the one that is there is served. */
  async listen(address: Address, onConnection: Accept, options?: Parameters<Network["listen"]>[2]): Promise<Listener> {
    const port = "path" in address ? undefined : this.#ports.get(address.port);
    if (port === undefined) return this.#network.listen(address, onConnection, options);
    if (port.accept !== undefined) throw new NetworkError("EADDRINUSE", "address already in use");
    port.accept = onConnection;
    return {
      address: port.listener.address,
      close() {
        port.accept = undefined;
        return Promise.resolve();
      },
    };
  }

  checkFiles(material: TlsMaterial): Promise<void> {
    return this.#network.checkFiles(material);
  }

  connect(...target: Parameters<Network["connect"]>): Promise<Connection> {
    return this.#network.connect(...target);
  }

  /** Gives the ports back. */
  async release(): Promise<void> {
    await Promise.all([...this.#ports.values()].map(({ listener }) => listener.close()));
    this.#ports.clear();
  }
}
