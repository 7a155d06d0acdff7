/** A page of a member, read over a connection of its own: HTTP/1.0, whose answers end with the connection. */
import { asBuffer, copyBytes } from "../base/bytes.ts";
import { parseEndpoint, usesTls } from "../client/endpoint.ts";
import type { Platform } from "../platform/platform.ts";
import type { ClientTls } from "../platform/tls.ts";

/** For all of it. */
const timeoutMs = 10_000;
const bytesMax = 64 << 20;

/**
 * @param tls - for an endpoint that is reached over TLS; undefined when there is none.
 * @returns the body of an answer with status 200.
 * @throws {Error} by rejection.
 */
export async function httpGet(
  endpointText: string,
  path: string,
  { network, clock }: Pick<Platform, "network" | "clock">,
  tls: Omit<ClientTls, "serverName"> | undefined,
): Promise<Uint8Array> {
  const endpoint = parseEndpoint(endpointText);
  const isSecure = usesTls(endpoint, endpoint, tls !== undefined);
  const connection = await network.connect(endpoint.address, {
    timeoutMs,
    tls: isSecure && tls !== undefined ? { ...tls, serverName: endpoint.serverName } : undefined,
  });
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const timer = clock.setTimer(() => connection.destroy(), timeoutMs);
    connection.setHandlers({
      data(chunk) {
        size += chunk.length;
        if (size > bytesMax) connection.destroy();
        else chunks.push(copyBytes(chunk));
      },
      end: () => connection.end(),
      drained: () => undefined,
      closed() {
        timer.cancel();
        const answer = asBuffer(Buffer.concat(chunks));
        const end = answer.indexOf("\r\n\r\n");
        const isGood = /^HTTP\/1\.[01] 200 /.test(answer.toString("latin1", 0, Math.max(0, end)));
        if (isGood && size <= bytesMax) resolve(answer.subarray(end + 4));
        else reject(new Error(`no page ${path} from ${endpointText}`));
      },
    });
    connection.write(Buffer.from(`GET ${path} HTTP/1.0\r\nHost: ${endpoint.authority}\r\n\r\n`));
  });
}
