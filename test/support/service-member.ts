/**
 * One member with its gRPC services in virtual time: clients speak to it over connections in memory, which scribble over
 * every chunk once it was read, so that a service that keeps borrowed bytes is found out.
 */
import { GrpcClient } from "../../src/grpc/client.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import type { Method } from "../../src/client/methods.ts";
import { methods } from "../../src/client/methods.ts";
import { createStderrLogger } from "../../src/platform/node/stderr-logger.ts";
import {
  createVirtualPlatform,
  Scheduler,
  VirtualDrive,
  VirtualInternet,
  type VirtualPlatform,
} from "../../src/platform/virtual/index.ts";
import { memberConfig, type MemberConfig } from "../../src/server/config.ts";
import type { Member } from "../../src/server/member.ts";
import { registerServices, type ServiceOptions, type Services } from "../../src/server/services/register.ts";
import { startMember } from "../../src/server/start-member.ts";
import type { CallOptions, ClientStream } from "../../src/grpc/client.ts";
import { connectionPair, type MemoryConnection } from "./memory-connection.ts";

export class ServiceMember {
  readonly scheduler: Scheduler;
  readonly platform: VirtualPlatform;
  readonly member: Member;
  readonly services: Services;
  readonly #server: GrpcServer;

  private constructor(scheduler: Scheduler, platform: VirtualPlatform, member: Member, options: ServiceOptions) {
    this.scheduler = scheduler;
    this.platform = platform;
    this.member = member;
    this.#server = new GrpcServer({ clock: platform.clock, maxReceiveBytes: 64 << 20 });
    this.services = registerServices(this.#server, member, options);
  }

  static async start(changes: Partial<MemberConfig> = {}, options: ServiceOptions = {}): Promise<ServiceMember> {
    const scheduler = new Scheduler();
    const platform = createVirtualPlatform({
      scheduler,
      drive: new VirtualDrive({ seed: 1 }),
      internet: new VirtualInternet(),
      host: "10.0.0.1",
      seed: 1,
      log: createStderrLogger("fatal"),
    });
    const started = startMember(memberConfig({ dataDir: "/data", ...changes }), platform);
    const member = await scheduler.run(started);
    const running = new ServiceMember(scheduler, platform, member, options);
    await running.run(member.whenReady());
    return running;
  }

  /** Lets virtual time pass until `promise` settles. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.scheduler.run(promise);
  }

  /** A client on a connection of its own; `far` is the server's end of it. */
  connect(): { client: GrpcClient; far: MemoryConnection } {
    const [near, far] = connectionPair(this.platform.clock);
    this.#server.handleConnection(far);
    return {
      client: new GrpcClient(near, { clock: this.platform.clock, authority: "test", maxSendBytes: 64 << 20 }),
      far,
    };
  }
}

export async function call<Request extends object, Response>(
  client: GrpcClient,
  { path, request, response }: Method<Request, Response>,
  fields: object,
  options: CallOptions = {},
): Promise<Response> {
  const bytes = request.encode(request.fromPartial(fields as never)).finish();
  return response.decode(await client.unary(path, bytes, options));
}

export function put(client: GrpcClient, key: string, value: Uint8Array | string): Promise<unknown> {
  return call(client, methods.put, { key: Buffer.from(key), value: Buffer.from(value) });
}

/** A stream with messages instead of bytes. */
export class TypedStream<Request, Response> {
  readonly stream: ClientStream;
  readonly #method: Method<Request, Response>;
  readonly #messages: AsyncIterator<Uint8Array>;

  constructor(client: GrpcClient, method: Method<Request, Response>, options: CallOptions = {}) {
    this.stream = client.stream(method.path, options);
    this.#method = method;
    this.#messages = this.stream[Symbol.asyncIterator]();
  }

  send(fields: object): void {
    const { request } = this.#method;
    // Whether it can be sent shows in what comes back.
    this.stream.send(request.encode(request.fromPartial(fields as never)).finish()).catch(() => undefined);
  }

  async next(): Promise<Response> {
    const { value, done } = await this.#messages.next();
    if (done === true) throw new Error("the stream is over");
    return this.#method.response.decode(value);
  }
}
