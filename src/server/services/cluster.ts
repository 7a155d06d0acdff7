/** `etcdserverpb.Cluster`: who the members are. Changing them needs more than one member, which is not possible yet. */
import type { UnaryCall } from "../../grpc/calls.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import { Code } from "../../wire/errors.ts";
import { MemberListRequest, MemberListResponse } from "../../wire/gen/etcdserverpb/rpc.ts";
import type { ServiceContext } from "./service-context.ts";

const changes = ["MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote"] as const;

export class ClusterService {
  readonly #context: ServiceContext;

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  register(server: GrpcServer): void {
    server.unary(
      "/etcdserverpb.Cluster/MemberList",
      this.#context.unary(MemberListRequest, MemberListResponse, (request, reply, call) =>
        this.#list(request, reply, call),
      ),
    );
    for (const method of changes) {
      server.unary(`/etcdserverpb.Cluster/${method}`, (call) => this.#refuse(call, method));
    }
  }

  #list({ linearizable }: MemberListRequest, reply: (answer: MemberListResponse) => void, call: UnaryCall): void {
    const answer = (): void => reply({ header: this.#context.coldHeader(0), members: this.#members() });
    if (!linearizable) return answer();
    this.#context.member.readIndex((error) => (error === undefined ? answer() : this.#context.fail(call, error)));
  }

  #members(): MemberListResponse["members"] {
    return this.#context.member.membership.members().map((member) => ({
      ID: member.id,
      name: member.name,
      peerURLs: [...member.peerUrls],
      clientURLs: [...member.clientUrls],
      isLearner: member.isLearner,
    }));
  }

  #refuse(call: UnaryCall, method: string): void {
    if (!this.#context.admit(call, "unary")) return;
    call.fail(
      Code.Unimplemented,
      `quorate: ${method} is not available in this version, which runs one-member clusters`,
    );
  }
}
