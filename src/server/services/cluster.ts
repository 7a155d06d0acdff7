/** `etcdserverpb.Cluster`: who the members are, and changes of that. */
import type { UnaryCall } from "../../grpc/calls.ts";
import type { Member as ClusterMember } from "../../membership/member.ts";
import {
  type Member as MemberMessage,
  MemberAddRequest,
  MemberAddResponse,
  MemberListRequest,
  MemberListResponse,
  MemberPromoteRequest,
  MemberPromoteResponse,
  MemberRemoveRequest,
  MemberRemoveResponse,
  MemberUpdateRequest,
  MemberUpdateResponse,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import { tokenOf } from "./callers.ts";
import type { ServiceContext } from "./service-context.ts";
import type { MethodRegistry } from "./token-gate.ts";

export class ClusterService {
  readonly #context: ServiceContext;

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  register(server: MethodRegistry): void {
    const context = this.#context;
    const { changes } = context.member;
    const path = (method: string): string => `/etcdserverpb.Cluster/${method}`;
    server.unary(
      path("MemberList"),
      context.unary(MemberListRequest, MemberListResponse, (request, reply, call) => this.#list(request, reply, call)),
    );
    server.unary(
      path("MemberAdd"),
      context.unary(MemberAddRequest, MemberAddResponse, async ({ peerURLs, isLearner }, reply) => {
        const member = toMessage(await changes.add(peerURLs, isLearner));
        reply({ header: context.coldHeader(0), member, members: this.#members() });
      }),
    );
    server.unary(
      path("MemberRemove"),
      context.unary(MemberRemoveRequest, MemberRemoveResponse, async ({ ID }, reply) => {
        await changes.remove(ID);
        reply({ header: context.coldHeader(0), members: this.#members() });
      }),
    );
    server.unary(
      path("MemberUpdate"),
      context.unary(MemberUpdateRequest, MemberUpdateResponse, async ({ ID, peerURLs }, reply) => {
        await changes.update(ID, peerURLs);
        reply({ header: context.coldHeader(0), members: this.#members() });
      }),
    );
    server.unary(
      path("MemberPromote"),
      context.unary(MemberPromoteRequest, MemberPromoteResponse, async ({ ID }, reply, call) => {
        await changes.promote(ID, tokenOf(call));
        reply({ header: context.coldHeader(0), members: this.#members() });
      }),
    );
  }

  #list({ linearizable }: MemberListRequest, reply: (answer: MemberListResponse) => void, call: UnaryCall): void {
    const answer = (): void => reply({ header: this.#context.coldHeader(0), members: this.#members() });
    if (!linearizable) return answer();
    this.#context.member.readIndex((error) => (error === undefined ? answer() : this.#context.fail(call, error)));
  }

  #members(): MemberMessage[] {
    return this.#context.member.membership.members().map(toMessage);
  }
}

function toMessage(member: ClusterMember): MemberMessage {
  return {
    ID: member.id,
    name: member.name,
    peerURLs: [...member.peerUrls],
    clientURLs: [...member.clientUrls],
    isLearner: member.isLearner,
  };
}
