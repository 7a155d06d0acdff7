/** Which address of its own a member dials others from. */
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";
import { memberConfig } from "../../server/config.ts";
import { peerDial } from "../../server/peer-dial.ts";
import { peerLocalAddressOf } from "./local-address.ts";

const log = createStderrLogger("fatal");

test.each([
  [["http://10.0.0.7:2380"], "10.0.0.7"],
  [["https://m1.example.com:2380", "https://[2001:db8::7]:2380"], "2001:db8::7"],
  [["http://127.0.0.1:2380", "http://0.0.0.0:2380", "http://[::1]:2380", "http://192.0.2.1:99999"], "192.0.2.1"],
  [["http://127.9.9.9:2380", "http://localhost:2380", "http://[::]:2380"], undefined],
])("of %j it is %s", (urls, expected) => {
  expect(peerLocalAddressOf({ "initial-advertise-peer-urls": urls }, log)).toBe(expected);
});

test("peers are dialled from it", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const arrived = new Promise<string | undefined>((resolve) => {
    server.once("connection", (socket) => {
      resolve(socket.remoteAddress);
      socket.destroy();
    });
  });
  const config = memberConfig({ dataDir: "unused", peerLocalAddress: "127.0.0.7" });
  const dial = peerDial(config, createNodePlatform({ log }));
  const connection = await dial(new URL(`http://127.0.0.1:${port}`), { host: "127.0.0.1", port }, 5000);
  expect(await arrived).toBe("127.0.0.7");
  connection.destroy();
  server.close();
});
