/** One bare HTTP/2 request, made with Node's own implementation so that nothing of ours stands between. */
import { connect, type IncomingHttpHeaders } from "node:http2";
import { withPatience } from "./patience.ts";
import type { Http2Answer, Http2Step } from "./transcript.ts";

/** How long nothing must come before the answer is "none". */
const silenceMs = 1000;

/** Headers that say nothing about gRPC. */
const unrecorded = new Set(["date"]);

export async function bareRequest(endpoint: string, step: Http2Step): Promise<Http2Answer> {
  const session = connect(endpoint);
  try {
    return await withPatience(exchange(session, step), () => "the request is not answered");
  } finally {
    session.destroy();
  }
}

function exchange(session: ReturnType<typeof connect>, { h2_headers, h2_body_b64 }: Http2Step): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    const isGet = h2_headers[":method"] === "GET";
    const request = session.request(h2_headers, { endStream: isGet });
    const answer: { -readonly [K in keyof Http2Answer]: Http2Answer[K] } = {};
    const body: Buffer[] = [];
    const finish = (): void => {
      clearTimeout(silence);
      resolve({ ...answer, rst_code: request.rstCode ?? 0, body_b64: Buffer.concat(body).toString("base64") });
    };
    const silence = setTimeout(() => {
      if (answer.headers !== undefined || h2_body_b64 !== undefined || isGet) return;
      answer.timeout = true;
      finish();
    }, silenceMs);
    request.on("response", (headers) => (answer.headers = plain(headers) as Record<string, string | number>));
    request.on("trailers", (trailers: IncomingHttpHeaders) => {
      answer.trailers = plain(trailers) as Record<string, string>;
    });
    request.on("data", (chunk: Buffer) => body.push(chunk));
    request.on("close", finish);
    request.on("error", reject);
    session.on("error", reject);
    if (h2_body_b64 !== undefined) request.end(Buffer.from(h2_body_b64, "base64"));
  });
}

function plain(headers: IncomingHttpHeaders): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !unrecorded.has(name)));
}
