import { expect, test } from "vitest";
import { confChangeContextToJson, type Member, memberToJson, parseConfChangeContext, parseMember } from "./member.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "utf8"));

const voter: Member = {
  id: 0xffff_ffff_ffff_fff1n,
  peerUrls: ["http://10.0.0.1:2380"],
  isLearner: false,
  name: "m1",
  clientUrls: ["http://10.0.0.1:2379"],
};

test("a member's JSON is what Go writes: ids as bare decimals, empty fields left out", () => {
  expect(memberToJson(voter)).toBe(
    '{"id":18446744073709551601,"peerURLs":["http://10.0.0.1:2380"],"name":"m1","clientURLs":["http://10.0.0.1:2379"]}',
  );
  const unstarted = { ...voter, id: 5n, name: "", clientUrls: [], isLearner: true };
  expect(memberToJson(unstarted)).toBe('{"id":5,"peerURLs":["http://10.0.0.1:2380"],"isLearner":true}');
});

test("a promotion names the id and no URLs", () => {
  const context = confChangeContextToJson({ member: { ...voter, name: "", clientUrls: [] }, isPromote: true });
  expect(context).toBe('{"id":18446744073709551601,"peerURLs":null,"isPromote":true}');
  expect(parseConfChangeContext(bytes(context))).toEqual({
    member: { ...voter, peerUrls: [], name: "", clientUrls: [] },
    isPromote: true,
  });
});

test("ids beyond 2^53 survive reading, digits inside texts are left alone", () => {
  const odd = { ...voter, name: 'a "quoted" 12,34: name \\', peerUrls: ["http://[::1]:2380/?a=1&b=2"] };
  expect(memberToJson(odd)).toContain("\\u0026b=2");
  expect(parseMember(bytes(memberToJson(odd)))).toEqual(odd);
});

test("what is not a member's JSON is refused", () => {
  for (const text of ["", "[]", "{", '{"id":"x"}', '{"id":1,"peerURLs":{}}', '{"peerURLs":[]}']) {
    expect(() => parseMember(bytes(text)), text).toThrow(SyntaxError);
  }
});
