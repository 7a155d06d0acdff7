/** Fuzz targets of what others answer us or show us: servers to our client, peers to our questions, tokens, discovery. */
import { createHmac, createSecretKey } from "node:crypto";
import { ClientError } from "../../src/client/client-error.ts";
import { methods } from "../../src/client/methods.ts";
import { membersBySrv } from "../../src/discovery/dns-srv.ts";
import { GrpcClient } from "../../src/grpc/client.ts";
import { GrpcError } from "../../src/grpc/status.ts";
import { FrameType } from "../../src/http2/frame.ts";
import { HpackEncoder, type HeaderPair } from "../../src/http2/hpack-encoder.ts";
import { parsePeerUrls, parseUrlsMap } from "../../src/membership/peer-urls.ts";
import { PeerAnswerError, PeerClient } from "../../src/peer/client.ts";
import { HttpSyntaxError } from "../../src/peer/http1/head.ts";
import { NetworkError } from "../../src/platform/network.ts";
import { createStderrLogger } from "../../src/platform/node/stderr-logger.ts";
import { JwtTokens, signMethod } from "../../src/server/auth/jwt-tokens.ts";
import { EtcdError } from "../../src/wire/errors.ts";
import {
  LeaseKeepAliveResponse,
  MemberListResponse,
  RangeResponse,
  StatusResponse,
  TxnResponse,
  WatchResponse,
} from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { LeaseInternalResponse } from "../../src/wire/gen/leasepb/lease.ts";
import { connectionPair, TestClock } from "../support/memory-connection.ts";
import { frame, message, settings } from "../support/raw-http2.ts";
import { VirtualMachine } from "../support/virtual-machine.ts";
import { forPeople, kinds, picked, text, withPick, type FuzzTarget } from "./target.ts";

const silent = createStderrLogger("fatal", () => undefined);
const key = text("some key");
const header = { clusterId: 1n, memberId: 2n, revision: 300n, raftTerm: 4n };
const kv = { key, value: text("value"), createRevision: 1n, modRevision: 300n, version: 2n, lease: 7n };

const responses = [
  methods.range.response,
  methods.txn.response,
  methods.watch.response,
  methods.leaseKeepAlive.response,
  methods.memberList.response,
  methods.status.response,
];

/** What the client library makes of messages. */
const clientMessages: FuzzTarget = {
  name: "client-messages",
  corpus: () => [
    withPick(0, RangeResponse.encode(RangeResponse.fromPartial({ header, kvs: [kv, kv], count: 2n })).finish()),
    withPick(
      1,
      TxnResponse.encode(
        TxnResponse.fromPartial({ header, succeeded: true, responses: [{ responsePut: { header, prevKv: kv } }] }),
      ).finish(),
    ),
    withPick(2, WatchResponse.encode(WatchResponse.fromPartial({ header, events: [{ kv, prevKv: kv }] })).finish()),
    withPick(3, LeaseKeepAliveResponse.encode(LeaseKeepAliveResponse.fromPartial({ header, ID: 7n })).finish()),
    withPick(
      4,
      MemberListResponse.encode(MemberListResponse.fromPartial({ members: [{ ID: 5n, peerURLs: ["a"] }] })).finish(),
    ),
    withPick(5, StatusResponse.encode(StatusResponse.fromPartial({ header, version: "3.6.0", dbSize: 9n })).finish()),
  ],
  run(input) {
    const [codec, bytes] = picked<{ decode(bytes: Uint8Array): unknown }>(responses, input);
    codec.decode(bytes);
  },
  // The reader's are of the language's classes; the client makes a ClientError of each.
  refuses: (error) => forPeople(error) || error instanceof RangeError,
};

function block(encoder: HpackEncoder, pairs: readonly HeaderPair[]): Uint8Array {
  const target = new Uint8Array(encoder.sizeBound(pairs));
  return target.slice(0, encoder.encode(pairs, target, 0));
}

/** The words of a server to a client with one call of each kind under way; both must end when the connection does. */
const grpcClient: FuzzTarget = {
  name: "grpc-client",
  corpus() {
    const encoder = new HpackEncoder();
    const opening: HeaderPair[] = [
      [":status", "200"],
      ["content-type", "application/grpc"],
    ];
    const good: HeaderPair[] = [["grpc-status", "0"]];
    const bad: HeaderPair[] = [...opening, ["grpc-status", "14"], ["grpc-message", "etcdserver: no leader %e2%82"]];
    const range = RangeResponse.encode(RangeResponse.fromPartial({ header, kvs: [kv] })).finish();
    const both = Buffer.concat([
      settings([3, 100], [4, 70_000]),
      frame(FrameType.headers, 4, 1, block(encoder, opening)),
      frame(FrameType.data, 0, 1, message(range)),
      frame(FrameType.headers, 5, 1, block(encoder, good)),
      frame(FrameType.headers, 5, 3, block(encoder, bad)),
    ]);
    const away = Buffer.concat([
      settings(),
      frame(FrameType.goAway, 0, 0, new Uint8Array(12)),
      frame(6, 0, 0, header8),
    ]);
    return [both, away];
  },
  async run(input) {
    const clock = new TestClock();
    const [near, far] = connectionPair(clock);
    const client = new GrpcClient(near, { clock, authority: "test", maxReceiveBytes: 5_000 });
    const outcomes: unknown[] = [];
    const settled = (outcome: unknown): void => void outcomes.push(outcome);
    client.unary(methods.range.path, new Uint8Array(0)).then(settled, settled);
    const stream = client.stream(methods.watch.path);
    const read = async (): Promise<void> => {
      for await (const bytes of stream) if (bytes.length > 5_000) throw new TypeError("a message beyond the limit");
    };
    read().then(settled, settled);
    await clock.settle();
    far.pieceBytes = 1 + (input[input.length - 1] ?? 0);
    far.write(input);
    await clock.settle();
    far.destroy();
    await clock.advance(60_000);
    if (outcomes.length < 2) throw new TypeError("a call outlives its connection");
    for (const outcome of outcomes) {
      if (outcome instanceof Error && !(outcome instanceof GrpcError)) throw outcome;
    }
  },
  refuses: kinds(ClientError),
};
const header8 = new Uint8Array(8);

const answer = (body: string | Uint8Array, fields = ""): Uint8Array =>
  Buffer.concat([
    text(`HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: 7e27652122e8b2ae\r\n${fields}Content-Length: ${body.length}\r\n\r\n`),
    Buffer.from(body),
  ]);
const url = "http://10.0.0.1:2380";
const questions: readonly ((client: PeerClient) => Promise<unknown>)[] = [
  (client) => client.members(url, 1_000),
  (client) => client.versions(url, 1_000),
  (client) => client.hashKv(url, 1n, 5, 1_000),
  (client) => client.leaseTimeToLive(url, 7n, true, 1_000),
  (client) => client.promoteMember(url, 7n, "token", 1_000),
  (client) => client.downgradeEnabled(url, 1_000),
];

/** What a peer answers to our questions over HTTP. */
const peerAnswers: FuzzTarget = {
  name: "peer-answers",
  corpus: () => [
    withPick(
      0,
      answer('[{"id":10501334649042878790,"peerURLs":["http://a:1"],"name":"a","clientURLs":["http://a:2"]}]'),
    ),
    withPick(1, answer('{"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"3.6.0"}')),
    withPick(2, answer('{"header":{"revision":7},"hash":123,"compact_revision":2,"hash_revision":5}')),
    withPick(
      3,
      answer(
        LeaseInternalResponse.encode(
          LeaseInternalResponse.fromPartial({
            LeaseTimeToLiveResponse: { ID: 7n, TTL: 3n, grantedTTL: 9n, keys: [key] },
          }),
        ).finish(),
      ),
    ),
    withPick(4, answer('[{"id":7,"isLearner":false,"peerURLs":[]}]')),
    withPick(5, answer("true")),
  ],
  async run(input) {
    const [ask, bytes] = picked(questions, input);
    const clock = new TestClock();
    const [near, far] = connectionPair(clock);
    const platform = { ...new VirtualMachine(1).boot(), clock };
    const asked = ask(new PeerClient({ platform, dialTimeoutMs: 1_000, dial: () => Promise.resolve(near) }));
    let failure: unknown = "none";
    const over = asked.then(
      () => (failure = undefined),
      (error: unknown) => (failure = error),
    );
    await clock.settle();
    far.pieceBytes = 40;
    far.write(bytes);
    far.end();
    await clock.advance(2_000);
    if (failure === "none") throw new TypeError("the question outlives its time");
    await over;
    if (failure !== undefined) throw failure;
  },
  refuses: kinds(PeerAnswerError, EtcdError, HttpSyntaxError, NetworkError),
};

const secret = "a secret";
const nowMs = 1_000_000;
const part = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString("base64url");
const signed = (content: string): string =>
  `${content}.${createHmac("sha256", secret).update(content).digest("base64url")}`;

/** A token as it comes, claims that somebody signed, or a head that somebody signed. */
const jwt: FuzzTarget = {
  name: "jwt",
  corpus: () => [
    withPick(
      0,
      text(signed(`${part('{"alg":"HS256","typ":"JWT"}')}.${part('{"exp":1001,"revision":7,"username":"u"}')}`)),
    ),
    withPick(1, text('{"exp":1001,"revision":7,"username":"u","nbf":5}')),
    withPick(2, text('{"alg":"HS256","typ":"JWT"}')),
  ],
  run(input) {
    const method = signMethod("HS256");
    if (method === undefined) throw new TypeError("HS256 is not known");
    const secretKey = createSecretKey(Buffer.from(secret));
    const options = { method, signingKey: secretKey, verifyingKey: secretKey, ttlMs: 60_000, now: () => nowMs };
    const tokens = new JwtTokens(options);
    const kind = (input[0] ?? 0) % 3;
    const bytes = input.subarray(1);
    const made = [
      Buffer.from(bytes).toString("latin1"),
      signed(`${part('{"alg":"HS256"}')}.${part(bytes)}`),
      signed(`${part(bytes)}.${part('{"exp":1001,"revision":7,"username":"u"}')}`),
    ];
    const caller = tokens.identify(made[kind]);
    if (caller === undefined) throw new EtcdError("invalidAuthToken");
    if (typeof caller.username !== "string" || !Number.isSafeInteger(caller.revision) || caller.revision < 0) {
      throw new TypeError("a caller that cannot be");
    }
  },
  refuses: kinds(EtcdError),
};

/** Members' addresses: in the registry, in flags, and in DNS records, one a line as `host port`. */
const discovery: FuzzTarget = {
  name: "discovery",
  corpus: () => [
    withPick(0, text("a=http://10.0.0.1:2380,b=https://[::1]:2380,a=http://10.0.0.2:2380")),
    withPick(1, text("http://10.0.0.1:2380,HTTPS://b.example.com:1,unix://c")),
    withPick(2, text("a.example.com. 2380\nb.example.com. 2381")),
  ],
  async run(input) {
    const kind = (input[0] ?? 0) % 3;
    const content = Buffer.from(input.subarray(1)).toString("utf8");
    if (kind === 0) return void parseUrlsMap(content);
    if (kind === 1) return void parsePeerUrls(content.split(","));
    const records = content.split("\n").map((line) => {
      const [host = "", port = ""] = line.split(" ");
      return { target: host, port: Number(port) & 0xffff };
    });
    await membersBySrv({
      resolver: {
        lookupAddresses: (host) => Promise.resolve([host === "" ? "10.0.0.9" : "10.0.0.1"]),
        lookupServices: () => Promise.resolve(records),
      },
      log: silent,
      name: "m1",
      domain: "example.com",
      serviceName: "",
      advertised: ["http://10.0.0.1:2380"],
    });
  },
  refuses: forPeople,
};

export const answerTargets: readonly FuzzTarget[] = [clientMessages, grpcClient, peerAnswers, jwt, discovery];
