/** Names of the network as addresses and services: DNS, and what the machine knows besides. */

export interface Resolver {
  /**
   * IP addresses of a host, IPv4 first; the text of an IP is its own answer. Never empty.
   *
   * @throws {NetworkError} `ENOTFOUND`, ... with Go's text. By rejection.
   */
  lookupAddresses(host: string): Promise<readonly string[]>;
  /**
   * SRV records of one name, by priority.
   *
   * @param name - `_etcd-server._tcp.example.com`.
   * @throws {NetworkError} as above; a name without such records counts as unknown.
   */
  lookupServices(name: string): Promise<readonly ServiceRecord[]>;
}

export interface ServiceRecord {
  /** A full host name, with the dot at its end. */
  readonly target: string;
  readonly port: number;
  /** Records of the lowest number are used before all others; absent: 0. */
  readonly priority?: number;
  /** Share among records of one priority; absent or 0: whatever is left. */
  readonly weight?: number;
}
