import { expect, test } from "vitest";
import { formatUrlsMap, parseUrlsMap } from "./peer-urls.ts";

test("a member may stand in the initial cluster with several URLs", () => {
  const members = parseUrlsMap("a=http://a:2,b=http://b:1,,a=http://a:1");
  expect(members).toEqual([
    { name: "a", peerUrls: ["http://a:1", "http://a:2"] },
    { name: "b", peerUrls: ["http://b:1"] },
  ]);
  expect(formatUrlsMap(members)).toBe("a=http://a:1,a=http://a:2,b=http://b:1");
});

test("a URL that stands twice is not taken for one", () => {
  expect(parseUrlsMap("a=http://a:1,a=http://a:1")[0].peerUrls).toHaveLength(2);
});

test.each([
  ["a=", "URL scheme must be http, https, unix, or unixs: "],
  ["a", "URL scheme must be http, https, unix, or unixs: "],
  ["a=10.0.0.1:2380", "URL scheme must be http, https, unix, or unixs: 10.0.0.1:2380"],
  ["a=http://a", 'URL address does not have the form "host:port": http://a'],
  ["a=http://a:1/x", "URL must not contain a path: http://a:1/x"],
])("the initial cluster %j is refused", (text, reason) => {
  expect(() => parseUrlsMap(text)).toThrow(reason);
});
