/** A client of ours to a member on this machine, which is not shown what the client logs. The caller closes it. */
import { Client } from "../src/client/client.ts";
import { createNodePlatform, createStderrLogger } from "../src/platform/node/index.ts";

export function connect(port: number, { dialTimeoutMs = 5_000 } = {}): Client {
  const log = createStderrLogger("fatal");
  const { network, clock, random } = createNodePlatform({ log });
  return new Client({
    network,
    clock,
    random,
    log,
    endpoints: [`http://127.0.0.1:${port}`],
    dialTimeoutMs,
    keepaliveTimeMs: 0,
    keepaliveTimeoutMs: 0,
    maxSendBytes: 0,
    maxReceiveBytes: 0,
  });
}
