import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { freePorts } from "../support/process.ts";
import { Relays } from "./relays.ts";

// All of 127.0.0.0/8 is this machine, on Linux alone.
test.runIf(process.platform === "linux")("late pieces and lost ones arrive whole, in order, and late", async () => {
  const [port] = await freePorts(1);
  const addressOf = (member: number): string => `127.71.0.${1 + member}`;
  const relayOf = (member: number): string => `127.71.0.${101 + member}`;
  const speakerOf = (member: number): string => `127.71.0.${201 + member}`;
  const relays = new Relays({ addressOf, relayOf, speakerOf, port });
  let heard = "";
  let speaker: string | undefined;
  const server = createServer((socket: Socket) => {
    speaker = socket.remoteAddress;
    socket.on("data", (piece) => (heard += String(piece)));
    socket.on("end", () => socket.end("heard"));
  });
  server.listen(port, addressOf(1));
  await once(server, "listening");
  try {
    await relays.open(2);
    relays.shape(0, { delayMs: 20, lossRate: 0.05 });
    const started = performance.now();
    const client = connect({ host: relayOf(1), port, localAddress: addressOf(0), noDelay: true });
    await once(client, "connect");
    let said = "";
    for (let piece = 0; piece < 60; piece++) {
      said += `${piece} `;
      client.write(`${piece} `);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    client.end();
    const [answer] = (await once(client, "data")) as [Buffer];
    expect(answer.toString()).toBe("heard");
    expect(heard).toBe(said);
    expect(speaker).toBe(speakerOf(0));
    expect(performance.now() - started).toBeGreaterThanOrEqual(20);
  } finally {
    relays.close();
    server.close();
  }
});
