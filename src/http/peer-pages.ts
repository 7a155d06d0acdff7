/** The peer port of a member that has no peers: who the members are, and which versions run. */
import { formatId } from "../membership/member.ts";
import type { Member } from "../server/member.ts";
import { onlyGet, sendJson, type Page } from "./responses.ts";
import { versionPage, type Versions } from "./version.ts";

export function peerPages(member: Member, versions: () => Versions): Map<string, Page> {
  return new Map<string, Page>([
    ["/version", versionPage(versions)],
    ["/members", membersPage(member)],
  ]);
}

/** A JSON array of members; ids are JSON numbers of 64 bits, which only text can carry exactly. */
function membersPage(member: Member): Page {
  return (request, response) => {
    if (!onlyGet(request, response)) return;
    const members = member.membership.members().map((one) => {
      const rest = JSON.stringify({
        peerURLs: one.peerUrls,
        name: one.name,
        ...(one.isLearner ? { isLearner: true } : {}),
        ...(one.clientUrls.length > 0 ? { clientURLs: one.clientUrls } : {}),
      });
      return `{"id":${one.id},${rest.slice(1)}`;
    });
    sendJson(response, 200, `[${members.join(",")}]\n`, { "X-Etcd-Cluster-ID": formatId(member.clusterId) });
  };
}
