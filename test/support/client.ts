/** A client of ours to a running server, for tests that load it and look at what it holds. */
import { Client, type Credentials } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { patienceMs } from "./process.ts";

/** The caller closes it. */
export function connect(endpoint: string | readonly string[], credentials?: Credentials): Client {
  const log = createStderrLogger("fatal");
  const { network, clock, random } = createNodePlatform({ log });
  return new Client({
    network,
    clock,
    random,
    log,
    endpoints: typeof endpoint === "string" ? [endpoint] : endpoint,
    credentials,
    dialTimeoutMs: 5_000,
    keepaliveTimeMs: 0,
    keepaliveTimeoutMs: 0,
    maxSendBytes: 0,
    maxReceiveBytes: 0,
  });
}

export async function withClient<T>(
  endpoint: string,
  use: (client: Client) => Promise<T>,
  credentials?: Credentials,
): Promise<T> {
  const client = connect(endpoint, credentials);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

const within = { timeoutMs: patienceMs };

export async function put(
  client: Pick<Client, "call">,
  key: string,
  value: string | Uint8Array,
  lease = 0n,
): Promise<number> {
  const { header } = await client.call(methods.put, { key: bytes(key), value: bytes(value), lease }, within);
  return Number(header?.revision);
}

/** Undefined when the key is not there. */
export async function get(client: Client, key: string): Promise<string | undefined> {
  const { kvs } = await client.call(methods.range, { key: bytes(key) }, within);
  return kvs.length === 0 ? undefined : Buffer.from(kvs[0].value).toString();
}

export function bytes(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? Buffer.from(text) : text;
}
