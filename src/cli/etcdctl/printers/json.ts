/** One line of JSON with the field names of Go's client types. */
import type { MemberListResponse } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { goJson, goJsonString } from "../../shared/go-json.ts";
import { hex } from "../../shared/go-number.ts";
import type { AnswerKind, Answers } from "../answers.ts";
import { jsonShapes, wrapOperations } from "./json-shapes.ts";
import type { Page } from "./page.ts";

export function printJson<Kind extends AnswerKind>(kind: Kind, answer: Answers[Kind], page: Page): void {
  const { response } = answer;
  if (kind === "memberList" && page.hex) page.line(hexMemberList(response as MemberListResponse));
  else if (Array.isArray(response)) page.line(listText(response as readonly object[], kind));
  else if ("responses" in response) page.line(goJson(wrapOperations(response), jsonShapes[kind]));
  else page.line(goJson(response, jsonShapes[kind]));
}

/** Go prints a list that was never filled as null. */
function listText(items: readonly object[], kind: AnswerKind): string {
  return items.length === 0 ? "null" : `[${items.map((item) => goJson(item, jsonShapes[kind])).join(",")}]`;
}

/** `member list --hex` has a form of its own: ids as hexadecimal strings, no learner flag, nothing left out. */
function hexMemberList({ header, members }: MemberListResponse): string {
  const head = `"cluster_id":"${hex(header?.clusterId ?? 0n)}","member_id":"${hex(header?.memberId ?? 0n)}"`;
  const list = members.map((member) => {
    const urls = `"peerURLs":${urlList(member.peerURLs)},"clientURLs":${urlList(member.clientURLs)}`;
    return `{"ID":"${hex(member.ID)}","name":"${member.name}",${urls}}`;
  });
  const tail = list.length === 0 ? "" : `,"members":[${list.join(",")}]`;
  return `{"header":{${head},"raft_term":${header?.raftTerm ?? 0n}}${tail}}`;
}

function urlList(urls: readonly string[]): string {
  return urls.length === 0 ? "null" : `[${urls.map((url) => goJsonString(url)).join(",")}]`;
}
