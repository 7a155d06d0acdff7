/**
 * What `netem` does, where the kernel has none: members reach each other through a relay each, which knows the sender by its
 * address and passes on what it says late. TCP makes a delay of a loss, by the timer of its retransmission, and so does the
 * relay. Everything stays in order.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Shape {
  readonly delayMs: number;
  /** Of 0 to 1, for each piece that a member sends. */
  readonly lossRate: number;
}

/** The shortest time after which TCP sends again what was lost; it doubles with each further loss. */
const retransmissionMs = 200;
/** Bytes on the way of one connection in one direction, as in a socket's buffers. */
const bytesOnWayMax = 4 << 20;

export interface RelayPlaces {
  /** Where members are reached: one of the relay's own addresses for each. */
  readonly relayOf: (member: number) => string;
  /** The address from which the relay speaks for a member. */
  readonly speakerOf: (member: number) => string;
  readonly addressOf: (member: number) => string;
  readonly port: number;
}

export class Relays {
  readonly #places: RelayPlaces;
  readonly #shapes = new Map<number, Shape>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(places: RelayPlaces) {
    this.#places = places;
  }

  async open(members: number): Promise<void> {
    const numbers = Array.from({ length: members }, (_, number) => number);
    const memberAt = new Map(numbers.map((number) => [this.#places.addressOf(number), number]));
    for (const to of numbers) {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        const from = memberAt.get(socket.remoteAddress ?? "");
        if (from === undefined) socket.destroy();
        else this.#relay(socket, from, to);
      });
      this.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(this.#places.port, this.#places.relayOf(to), resolve);
      });
    }
  }

  /** What the member sends from now on; undefined: at once. */
  shape(member: number, shape: Shape | undefined): void {
    if (shape === undefined) this.#shapes.delete(member);
    else this.#shapes.set(member, shape);
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #relay(accepted: Socket, from: number, to: number): void {
    const { addressOf, speakerOf, port } = this.#places;
    const dialed = connect({
      host: addressOf(to),
      port,
      localAddress: speakerOf(from),
      allowHalfOpen: true,
      noDelay: true,
    });
    accepted.setNoDelay(true);
    for (const socket of [accepted, dialed]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined); // "close" follows
      socket.once("close", () => this.#sockets.delete(socket));
    }
    this.#pass(accepted, dialed, from);
    this.#pass(dialed, accepted, to);
  }

  /** From one socket to the other, as late as what `sender` sends now is to be. */
  #pass(source: Socket, target: Socket, sender: number): void {
    let lastMs = 0;
    let onWay = 0;
    const waiting: (() => void)[] = [];
    const later = (then: () => void): void => {
      lastMs = Math.max(lastMs, performance.now() + this.#latenessOf(sender));
      waiting.push(then);
      // Timers of whole milliseconds may come in another order than they were set; bytes may not.
      setTimeout(() => waiting.shift()?.(), lastMs - performance.now());
    };
    source.on("data", (piece: Buffer) => {
      onWay += piece.length;
      if (onWay > bytesOnWayMax) source.pause();
      later(() => {
        onWay -= piece.length;
        if (onWay <= bytesOnWayMax) source.resume();
        if (!target.destroyed) target.write(piece);
      });
    });
    source.on("end", () => later(() => target.end()));
    source.once("close", (hasFailed: boolean) => {
      if (hasFailed) later(() => target.destroy());
    });
  }

  #latenessOf(sender: number): number {
    const { delayMs, lossRate } = this.#shapes.get(sender) ?? { delayMs: 0, lossRate: 0 };
    let lateMs = delayMs;
    for (let wait = retransmissionMs; Math.random() < lossRate; wait *= 2) lateMs += wait;
    return lateMs;
  }
}
