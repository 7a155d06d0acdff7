/**
 * Control of failpoints over HTTP, as gofail's runtime offers it: `GET /` lists them, `GET /name` shows one,
 * `GET /name/count` how often it acted, `PUT /name` sets its terms, `PUT /failpoints` those of several, `DELETE /name`
 * switches it off.
 */
import { type Failpoints, FailpointSyntaxError, isFailpointName } from "../base/failpoints.ts";
import type { Page, PageRequest, PageResponse } from "./page.ts";
import { sendError, sendText } from "./responses.ts";

/** Terms are a line of text. */
const bodyBytesMax = 64 * 1024;
/** Sets several at once, `name=terms;name=terms`. */
const allName = "failpoints";
const unknown = "failpoint: failpoint does not exist";

export function failpointsPage(failpoints: Failpoints): Page {
  return (request, response, url) => {
    const name = decodeURIComponent(url.pathname.slice(1));
    if (request.method === "GET") show(failpoints, name, response);
    else if (request.method === "PUT") put(failpoints, name, request, response);
    else if (request.method === "DELETE") {
      if (!isFailpointName(name)) return sendError(response, 404, `failed to delete failpoint ${unknown}`);
      failpoints.clear(name);
      done(response);
    } else {
      response.setHeader("Allow", "PUT, GET, DELETE");
      sendError(response, 405, "Method not allowed");
    }
  };
}

function show(failpoints: Failpoints, path: string, response: PageResponse): void {
  if (path === "") return sendText(response, `${failpoints.list().join("\n")}\n`);
  const asksForCount = path.endsWith("/count");
  const name = asksForCount ? path.slice(0, -"/count".length) : path;
  if (!isFailpointName(name)) return sendError(response, 404, `failed to GET: ${unknown}`);
  const point = failpoints.slots[name];
  if (asksForCount) sendText(response, String(point?.hits ?? 0));
  else if (point === undefined) sendError(response, 404, "failed to GET: failpoint: failpoint is disabled");
  else sendText(response, `${point.terms}\n`);
}

function put(failpoints: Failpoints, name: string, request: PageRequest, response: PageResponse): void {
  const chunks: Buffer[] = [];
  let size = 0;
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= bodyBytesMax) chunks.push(chunk);
  });
  request.on("end", () => {
    if (size > bodyBytesMax) return sendError(response, 400, `terms are longer than ${bodyBytesMax} bytes`);
    const terms = Buffer.concat(chunks).toString("utf8");
    try {
      if (name.toLowerCase() === allName) failpoints.setAll(terms);
      else if (isFailpointName(name)) failpoints.set(name, terms);
      else return sendError(response, 404, `fail to set failpoint: ${unknown}`);
      done(response);
    } catch (error) {
      if (!(error instanceof FailpointSyntaxError)) throw error;
      sendError(response, 400, `fail to set failpoint: ${error.message}`);
    }
  });
}

function done(response: PageResponse): void {
  response.writeHead(204);
  response.end();
}
