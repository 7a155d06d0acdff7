/** A DNS server over UDP that knows what a test tells it: addresses and SRV records. Format: RFC 1035, RFC 2782. */
import { createSocket, type Socket } from "node:dgram";

const Type = { A: 1, SRV: 33 } as const;
const inClass = 1;
const nameError = 3;
const headerBytes = 12;

export interface Zone {
  /** Host → IPv4 addresses. */
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
  /** `_service._tcp.domain` → records. */
  readonly services?: Readonly<Record<string, readonly SrvTarget[]>>;
}

export interface SrvTarget {
  readonly target: string;
  readonly port: number;
  readonly priority?: number;
}

export class DnsServer {
  readonly asked: string[] = [];
  readonly #socket: Socket;
  zone: Zone;

  private constructor(socket: Socket, zone: Zone) {
    this.#socket = socket;
    this.zone = zone;
    socket.on("message", (query, from) => socket.send(this.#answer(query), from.port, from.address));
  }

  /** @throws when the address or port cannot be had: port 53 wants rights. */
  static start(zone: Zone, { host = "127.0.0.1", port = 0 } = {}): Promise<DnsServer> {
    const socket = createSocket("udp4");
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(port, host, () => resolve(new DnsServer(socket, zone)));
    });
  }

  /** `host:port` */
  get address(): string {
    const { address, port } = this.#socket.address();
    return `${address}:${port}`;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #answer(query: Buffer): Buffer {
    const labels: string[] = [];
    let at = headerBytes;
    while (query[at] > 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + query[at]));
      at += query[at] + 1;
    }
    const name = labels.join(".").toLowerCase();
    const type = query.readUInt16BE(at + 1);
    const question = query.subarray(headerBytes, at + 5);
    this.asked.push(`${name} ${type}`);
    const known = [...Object.keys(this.zone.addresses ?? {}), ...Object.keys(this.zone.services ?? {})];
    const records = this.#records(name, type);
    const header = Buffer.alloc(headerBytes);
    header.writeUInt16BE(query.readUInt16BE(0), 0);
    header.writeUInt16BE(0x8580 | (known.includes(name) ? 0 : nameError), 2); // an answer, from who knows
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, question, ...records.map((data) => record(type, data))]);
  }

  #records(name: string, type: number): Buffer[] {
    if (type === Type.A) return (this.zone.addresses?.[name] ?? []).map((ip) => Buffer.from(ip.split(".").map(Number)));
    if (type !== Type.SRV) return [];
    return (this.zone.services?.[name] ?? []).map(({ target, port, priority = 0 }) => {
      const numbers = Buffer.alloc(6);
      numbers.writeUInt16BE(priority, 0);
      numbers.writeUInt16BE(port, 4);
      return Buffer.concat([numbers, encodeName(target)]);
    });
  }
}

/** With the name of the question, which begins right behind the header. */
function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | headerBytes, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(inClass, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]), Buffer.of(0)]);
}
