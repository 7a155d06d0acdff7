/** How etcd's HTTP pages answer: plain text with a final newline for errors, as Go's `http.Error` writes them. */
import type { PageRequest, PageResponse } from "./page.ts";

const plainText = "text/plain; charset=utf-8";

/** `text` plus a newline, marked as text that must not be sniffed. */
export function sendError(response: PageResponse, status: number, text: string): void {
  send(response, status, `${text}\n`, { "Content-Type": plainText, "X-Content-Type-Options": "nosniff" });
}

export function sendText(response: PageResponse, text: string, headers: Record<string, string> = {}): void {
  send(response, 200, text, { "Content-Type": plainText, ...headers });
}

export function sendJson(
  response: PageResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  send(response, status, text, { "Content-Type": "application/json", ...headers });
}

function send(response: PageResponse, status: number, body: string, headers: Record<string, string>): void {
  response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

export function notFound(response: PageResponse): void {
  sendError(response, 404, "404 page not found");
}

/** Sends the client elsewhere, as Go's `http.Redirect` with status 307 does. */
export function redirect(request: PageRequest, response: PageResponse, location: string): void {
  const isRead = request.method === "GET" || request.method === "HEAD";
  const page = `<a href="${location.replaceAll("&", "&amp;").replaceAll('"', "&#34;").replaceAll("<", "&lt;")}">Temporary Redirect</a>.\n\n`;
  const body = isRead ? page : "";
  send(response, 307, body, { Location: location, ...(isRead ? { "Content-Type": "text/html; charset=utf-8" } : {}) });
}

/** Answers 405 and returns false unless the request is a GET. */
export function onlyGet(request: PageRequest, response: PageResponse): boolean {
  if (request.method === "GET") return true;
  response.setHeader("Allow", "GET");
  sendError(response, 405, "Method Not Allowed");
  return false;
}
