/**
 * What is fuzzed: everything that reads bytes of others. Each target takes an input, and either makes something of it or
 * refuses it with an error of a kind that belongs there; any other error is a bug.
 */
import { CorruptionError } from "../../src/base/corruption.ts";
import { parseArguments } from "../../src/cli/etcd/parse.ts";
import { resolveSettings } from "../../src/cli/etcd/settings.ts";
import { copySnapshot } from "../../src/cli/etcdutl/restore/copy-snapshot.ts";
import { JsonSplitter, JsonSyntaxError } from "../../src/http/gateway/json-splitter.ts";
import { jsonToMessage, JsonValueError } from "../../src/http/gateway/json-decode.ts";
import { messageToJsonText } from "../../src/http/gateway/json-encode.ts";
import { messageType } from "../../src/http/gateway/message-type.ts";
import { ConnectionError } from "../../src/http2/error-code.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack-encoder.ts";
import { AppendDecoder, AppendEncoder } from "../../src/peer/append-codec.ts";
import { HeadReader, HttpSyntaxError } from "../../src/peer/http1/head.ts";
import { MessageDecoder, MessageEncoder } from "../../src/peer/message-codec.ts";
import { SizeLimitError, type StreamDecoder, type StreamEncoder } from "../../src/peer/stream-codec.ts";
import { DiskError } from "../../src/platform/disk.ts";
import { createStderrLogger } from "../../src/platform/node/stderr-logger.ts";
import { checkDatabase } from "../../src/storage/bbolt/check.ts";
import { BoltDb } from "../../src/storage/bbolt/db.ts";
import { encodeSnapshotFile, readSnapshotFile } from "../../src/storage/snap/snap-files.ts";
import { readLog } from "../../src/storage/wal/log-reader.ts";
import { RecordEncoder } from "../../src/storage/wal/record-encoder.ts";
import { RecordType } from "../../src/storage/wal/record.ts";
import { segmentName } from "../../src/storage/wal/segment.ts";
import { encodeWalSnapshot } from "../../src/storage/wal/wal-snapshot.ts";
import { EtcdError } from "../../src/wire/errors.ts";
import {
  AuthUserAddRequest,
  LeaseGrantRequest,
  MemberAddRequest,
  SnapshotResponse,
  TxnRequest,
  WatchRequest,
} from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { decodeKeyValue, encodeKeyValue } from "../../src/wire/hot/key-value.ts";
import {
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
  encodeDeleteRangeRequest,
  encodePutRequest,
  encodeRangeRequest,
} from "../../src/wire/hot/kv-requests.ts";
import { decodeLeaseKeepAliveRequest } from "../../src/wire/hot/lease-keep-alive.ts";
import { decodeRaftRequest, encodeRaftRequest } from "../../src/wire/hot/raft-request.ts";
import { decodeTxnRequest, encodeTxnRequest } from "../../src/wire/hot/txn-request.ts";
import { decodeConfChange, decodeConfChangeV2 } from "../../src/wire/raft/conf-change-codec.ts";
import { decodeEntry, decodeHardState } from "../../src/wire/raft/entry-codec.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/raft/message-codec.ts";
import { decodeSnapshot } from "../../src/wire/raft/snapshot-codec.ts";
import { RaftDecodeError } from "../../src/wire/raft/reader.ts";
import { createMessage, EntryType, MessageType, type Snapshot } from "../../src/wire/raft/types.ts";
import { decodeRequest, WireError } from "../../src/wire/wire-error.ts";
import { VirtualMachine } from "../support/virtual-machine.ts";
import { answerTargets } from "./answer-targets.ts";
import { fuzzConnection } from "./http2-fuzzer.ts";
import { forPeople, type FuzzTarget, kinds, picked, text, withPick } from "./target.ts";

const silent = createStderrLogger("fatal", () => undefined);

const hpack: FuzzTarget = {
  name: "hpack",
  corpus() {
    const encoder = new HpackEncoder();
    const request = [
      [":method", "POST"],
      [":path", "/etcdserverpb.KV/Range"],
      ["content-type", "application/grpc"],
      ["grpc-timeout", "5S"],
    ] as const;
    const blocks = [request, request, [[":status", "200"]] as const].map((pairs) => {
      const target = Buffer.alloc(4096);
      return target.subarray(0, encoder.encode(pairs, target, 0));
    });
    return [Buffer.concat([Uint8Array.of(blocks[0].length), ...blocks])];
  },
  run(input) {
    const decoder = new HpackDecoder({ maxListSize: 16_384 });
    // Two blocks, the first of the length that the first byte says: what it leaves in the table the second uses.
    const split = Math.min(1 + (input[0] ?? 0), input.length);
    decoder.decode(input, Math.min(1, split), split);
    decoder.decode(input, split, input.length);
    const names = decoder.fields.slice(0, decoder.count).map(({ name }) => name.length);
    if (names.some((length) => length > 16_384)) throw new TypeError("a name is longer than the list may be");
  },
  refuses: kinds(ConnectionError),
};

const someBytes = text("some bytes");
const put = { key: someBytes, value: text("value"), lease: 7n, prevKv: true, ignoreValue: false, ignoreLease: false };
const range = {
  key: someBytes,
  rangeEnd: Uint8Array.of(0),
  limit: 500,
  revision: 12,
  sortOrder: 1,
  sortTarget: 2,
  serializable: true,
  keysOnly: false,
  countOnly: true,
  minModRevision: 1,
  maxModRevision: 2 ** 53 - 1,
  minCreateRevision: 3,
  maxCreateRevision: 4,
} as const;
const deletion = { key: someBytes, rangeEnd: text("z"), prevKv: true };
const txn = TxnRequest.encode(
  TxnRequest.fromPartial({
    compare: [{ key: someBytes, target: 1, createRevision: 5n }],
    success: [{ requestPut: put }, { requestRange: { key: someBytes } }],
    failure: [{ requestTxn: { success: [{ requestDeleteRange: deletion }] } }],
  }),
).finish();
const header = { id: 4_294_967_298n, username: "al", authRevision: 3n };

/** Decoders that have an encoder: what one makes of an input, the other writes so that it comes out the same again. */
const hotCodecs: readonly (readonly [(bytes: Uint8Array) => unknown, ((value: never) => Uint8Array) | undefined])[] = [
  [decodeRangeRequest, encodeRangeRequest],
  [decodePutRequest, encodePutRequest],
  [decodeDeleteRangeRequest, encodeDeleteRangeRequest],
  [decodeTxnRequest, encodeTxnRequest],
  [decodeKeyValue, encodeKeyValue],
  [decodeRaftRequest, undefined],
  [decodeLeaseKeepAliveRequest, undefined],
];

const hot: FuzzTarget = {
  name: "protobuf-hot",
  corpus: () => [
    withPick(0, encodeRangeRequest(range)),
    withPick(1, encodePutRequest(put)),
    withPick(2, encodeDeleteRangeRequest(deletion)),
    withPick(3, txn),
    withPick(
      4,
      encodeKeyValue({ key: someBytes, createRevision: 1, modRevision: 300, version: 3, value: someBytes, lease: 9n }),
    ),
    withPick(5, encodeRaftRequest("put", encodePutRequest(put), header)),
    withPick(5, encodeRaftRequest("txn", txn, header)),
    withPick(6, Uint8Array.of(8, 200, 1)),
  ],
  run(input) {
    const [[decode, encode], bytes] = picked(hotCodecs, input);
    const value = decode(bytes);
    if (encode === undefined) return;
    const once = encode(value as never);
    const twice = encode(decode(once) as never);
    if (!Buffer.from(once).equals(twice)) throw new TypeError("encoding what was decoded does not come to rest");
  },
  refuses: kinds(WireError, EtcdError),
};

const generated = [WatchRequest, TxnRequest, LeaseGrantRequest, MemberAddRequest, AuthUserAddRequest, SnapshotResponse];

const gen: FuzzTarget = {
  name: "protobuf-generated",
  corpus: () => [
    withPick(
      0,
      WatchRequest.encode(WatchRequest.fromPartial({ createRequest: { key: someBytes, filters: [0, 1] } })).finish(),
    ),
    withPick(1, txn),
    withPick(2, LeaseGrantRequest.encode({ TTL: 5n, ID: 6n }).finish()),
    withPick(3, MemberAddRequest.encode({ peerURLs: ["http://a:1"], isLearner: true }).finish()),
    withPick(
      4,
      AuthUserAddRequest.encode(AuthUserAddRequest.fromPartial({ name: "al", options: { noPassword: true } })).finish(),
    ),
    withPick(5, SnapshotResponse.encode(SnapshotResponse.fromPartial({ blob: someBytes, version: "3.6.0" })).finish()),
  ],
  run(input) {
    const [codec, bytes] = picked(generated, input);
    const decode = codec.decode.bind(codec) as (bytes: Uint8Array) => unknown;
    decodeRequest(decode, bytes);
  },
  refuses: kinds(EtcdError),
};

const entry = { type: EntryType.Normal, term: 2, index: 8, data: someBytes };
const append = {
  ...createMessage(MessageType.App, 1n),
  from: 2n,
  term: 2,
  logTerm: 2,
  index: 7,
  commit: 7,
  entries: [entry, { ...entry, index: 9 }],
};
const snapshot: Snapshot = {
  data: text('{"root":{}}'),
  metadata: {
    index: 9,
    term: 2,
    confState: { voters: [1n, 2n], learners: [3n], votersOutgoing: [], learnersNext: [], autoLeave: false },
  },
};

const raftDecoders = [
  decodeMessage,
  decodeEntry,
  decodeSnapshot,
  decodeHardState,
  decodeConfChange,
  decodeConfChangeV2,
];

const raft: FuzzTarget = {
  name: "raft",
  corpus: () => [
    withPick(0, encodeMessage(append)),
    withPick(0, encodeMessage({ ...createMessage(MessageType.Snap, 1n), from: 2n, term: 3, snapshot })),
    withPick(1, Uint8Array.of(8, 0, 16, 2, 24, 8, 34, 1, 65)),
    withPick(4, Uint8Array.of(8, 1, 16, 0, 24, 9, 34, 1, 65)),
  ],
  run(input) {
    const [decode, bytes] = picked<(bytes: Uint8Array) => unknown>(raftDecoders, input);
    decode(bytes);
  },
  refuses: kinds(RaftDecodeError),
};

function encoded(encoder: StreamEncoder, messages: readonly (typeof append)[]): Uint8Array {
  return Buffer.concat(
    messages.map((message) => {
      const target = new Uint8Array(encoder.size(message));
      encoder.write(message, target, 0);
      return target;
    }),
  );
}

const peerStream: FuzzTarget = {
  name: "peer-stream",
  corpus() {
    const next = { ...append, index: 9, logTerm: 2, commit: 9, entries: [{ ...entry, index: 10 }] };
    return [
      withPick(0, encoded(new AppendEncoder(), [append, next])),
      withPick(1, encoded(new MessageEncoder(), [append, next])),
    ];
  },
  run(input) {
    const decoders: StreamDecoder[] = [new AppendDecoder(1n, 2n), new MessageDecoder()];
    const [decoder, bytes] = picked(decoders, input);
    for (let at = 0; at < bytes.length; at += 7)
      decoder.push(new Uint8Array(bytes.subarray(at, at + 7)), () => undefined);
  },
  refuses: kinds(RaftDecodeError, SizeLimitError),
};

const peerHead: FuzzTarget = {
  name: "peer-http",
  corpus: () => [
    text("POST /raft HTTP/1.1\r\nHost: a:1\r\nX-Etcd-Cluster-ID: 7e27652122e8b2ae\r\nContent-Length: 4\r\n\r\nabcd"),
    text("GET /raft/stream/msgapp/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
    text("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}"),
  ],
  run(input) {
    for (const side of ["request", "response"] as const) {
      const reader = new HeadReader();
      let body = -1;
      for (let at = 0; at < input.length && body < 0; at += 50) body = reader.push(input.subarray(at, at + 50), 0);
      if (body < 0) continue;
      try {
        reader[side]();
      } catch (error) {
        if (!(error instanceof HttpSyntaxError)) throw error;
      }
    }
  },
  refuses: kinds(HttpSyntaxError),
};

/** A disk with one file. */
function diskWith(path: string, bytes: Uint8Array) {
  const { disk } = new VirtualMachine(1).boot();
  disk.makeDirectory("/d");
  const file = disk.open(path, "createNew");
  file.writeSync(bytes, 0);
  file.close();
  return disk;
}

const wal: FuzzTarget = {
  name: "wal",
  corpus() {
    const encoder = new RecordEncoder(new Uint8Array(8192), 0);
    encoder.addCrc();
    encoder.add(RecordType.Metadata, someBytes);
    encoder.add(RecordType.Snapshot, encodeWalSnapshot({ index: 0, term: 0 }));
    for (let index = 1; index <= 5; index++) encoder.addEntry({ ...entry, index });
    encoder.addHardState({ term: 2, vote: 1n, commit: 4 });
    return [Buffer.concat([encoder.buffer.subarray(0, encoder.length), new Uint8Array(600)])];
  },
  run(input) {
    readLog(diskWith(`/d/${segmentName(0, 0).name}`, input), "/d", { index: 0, term: 0 });
  },
  refuses: kinds(CorruptionError, DiskError),
  bytesMax: 8192,
};

const snap: FuzzTarget = {
  name: "snap",
  corpus: () => [encodeSnapshotFile(snapshot)],
  run: (input) => void readSnapshotFile(diskWith("/d/x.snap", input), "/d/x.snap"),
  refuses: kinds(CorruptionError),
};

/** A small database of all kinds of pages: branches, leaves, an overflow, an inline bucket, a free list. */
async function smallDatabase(storeFreelist: boolean): Promise<Uint8Array> {
  const { scheduler, disk } = (() => {
    const machine = new VirtualMachine(1);
    return { scheduler: machine.scheduler, disk: machine.boot().disk };
  })();
  const db = BoltDb.open(disk, "/db", { pageSize: 1024, storeFreelist });
  await scheduler.run(
    (async () => {
      for (let round = 0; round < 2; round++) {
        const tx = db.begin(true);
        const bucket = round === 0 ? tx.root.createBucket(text("key")) : tx.bucket(text("key"));
        for (let row = 0; row < 60; row++) bucket?.put(text(`row-${row}`), text("v".repeat(row === 30 ? 3000 : 30)));
        if (round === 0) tx.root.createBucket(text("small")).put(text("a"), text("b"));
        await tx.commit();
      }
    })(),
  );
  db.close();
  const file = disk.open("/db", "read");
  const bytes = new Uint8Array(db.meta.highWater * db.meta.pageSize);
  file.readSync(bytes, 0);
  return bytes;
}

const pages: FuzzTarget = {
  name: "pages",
  corpus: async () => [await smallDatabase(false), await smallDatabase(true)],
  run(input) {
    const disk = diskWith("/d/db", input);
    const db = BoltDb.open(disk, "/d/db", { readOnly: true });
    try {
      checkDatabase(db);
      const tx = db.begin(false);
      const names = tx.cursor();
      for (let more = names.first(), count = 0; more && count < 10_000; more = names.next(), count++) {
        const rows = tx.bucket(names.key)?.cursor();
        for (let row = rows?.first() === true; row && rows !== undefined && count < 10_000; row = rows.next()) count++;
      }
      tx.rollback();
    } finally {
      db.close();
    }
    // For writing all of it is looked at before anything is taken into use.
    BoltDb.open(disk, "/d/db", {}).close();
  },
  refuses: kinds(CorruptionError),
  bytesMax: 64 * 1024,
};

const snapshotFile: FuzzTarget = {
  name: "snapshot-file",
  async corpus() {
    const { createHash } = await import("node:crypto");
    const bytes = await smallDatabase(false);
    return [Buffer.concat([bytes, createHash("sha256").update(bytes).digest()])];
  },
  async run(input) {
    const machine = new VirtualMachine(1);
    const { disk } = machine.boot();
    const file = disk.open("/snapshot.db", "createNew");
    file.writeSync(input, 0);
    for (const skipHashCheck of [false, true]) {
      const copying = copySnapshot(disk, "/snapshot.db", `/db-${skipHashCheck}`, { skipHashCheck });
      const outcome = copying.then(
        () => undefined,
        (error: unknown) => error,
      );
      const error = await machine.scheduler.run(outcome);
      if (error !== undefined && !forPeople(error)) throw error;
    }
  },
  refuses: () => false,
  bytesMax: 64 * 1024,
};

const messages = [
  "etcdserverpb.RangeRequest",
  "etcdserverpb.PutRequest",
  "etcdserverpb.TxnRequest",
  "etcdserverpb.WatchRequest",
  "etcdserverpb.MemberAddRequest",
  "etcdserverpb.AuthRoleGrantPermissionRequest",
];

const json: FuzzTarget = {
  name: "json",
  corpus: () => [
    withPick(0, text('{"key":"Zm9v","range_end":"AA==","limit":"10","sortOrder":"DESCEND","serializable":true}')),
    withPick(1, text('{"key":"Zm9v","value":"YmFy","lease":7587}')),
    withPick(
      2,
      text(
        '{"compare":[{"result":"EQUAL","target":"VALUE","key":"Zm9v","value":"YmFy"}],"success":[{"requestPut":{"key":"Zm9v"}}]}',
      ),
    ),
    withPick(3, text('{"create_request":{"key":"Zm9v","filters":["NOPUT",1],"start_revision":"-1"}}')),
    withPick(4, text('{"peerURLs":["http://a:2380","\\u0041\\ud83d\\ude00"],"isLearner":null}')),
    withPick(5, text('{"name":"r","perm":{"permType":"READWRITE","key":"AA"}} {"name":"s"}')),
  ],
  run(input) {
    const [name, bytes] = picked(messages, input);
    const type = messageType(name);
    const values: Uint8Array[] = [];
    const splitter = new JsonSplitter({
      valueBytesMax: 1 << 20,
      onValue: (value) => void values.push(value),
      onTooLarge: () => undefined,
    });
    for (let at = 0; at < bytes.length; at += 11) splitter.push(new Uint8Array(bytes.subarray(at, at + 11)));
    splitter.end();
    for (const value of values) messageToJsonText(type, jsonToMessage(type, value));
  },
  refuses: kinds(JsonSyntaxError, JsonValueError),
};

const flags: FuzzTarget = {
  name: "flags",
  corpus: () => [
    text(
      "--name=m1\n--data-dir\n/tmp/x\n--listen-client-urls=http://127.0.0.1:1,http://[::1]:2\n-advertise-client-urls\nhttp://a:1",
    ),
    text("--initial-cluster=a=http://a:1,b=http://b:2\n--name=a\n--initial-advertise-peer-urls=http://a:1"),
    text("--auto-compaction-mode=periodic\n--auto-compaction-retention=1h30m\n--quota-backend-bytes=8589934592"),
    text("--feature-gates=InitialCorruptCheck=true\n--log-level=debug\n--heartbeat-interval=100\n--snapshot-count=5"),
    text("--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n--auth-token=jwt,pub-key=a,sign-method=RS256,ttl=5m"),
  ],
  run(input) {
    const args = Buffer.from(input).toString("utf8").split("\n");
    const readFile = (): string => "name: x\n";
    resolveSettings(parseArguments(args), { environment: {}, log: silent, readFile });
  },
  refuses: forPeople,
  bytesMax: 4096,
};

const yaml: FuzzTarget = {
  name: "yaml",
  corpus: () => [
    text("name: m1\ndata-dir: /tmp/x\nlisten-client-urls: http://127.0.0.1:1\nadvertise-client-urls: http://a:1\n"),
    text(
      "client-transport-security:\n  cert-file: a\n  key-file: b\n  client-cert-auth: true\nquota-backend-bytes: 0\n",
    ),
    text(
      'log-outputs: [stderr, "/a"]\nheartbeat-interval: 100\nfeature-gates: "InitialCorruptCheck=true"\n# a comment\ncors: "*"\n',
    ),
  ],
  run(input) {
    const readFile = (): string => Buffer.from(input).toString("utf8");
    resolveSettings(parseArguments(["--config-file=/x.yaml"]), { environment: {}, log: silent, readFile });
  },
  refuses: forPeople,
  bytesMax: 4096,
};

/** A life of a connection, drawn from the number that the first bytes are. */
const http2: FuzzTarget = {
  name: "http2",
  corpus: () => [],
  async run(input) {
    await fuzzConnection(Buffer.concat([input, new Uint8Array(4)]).readUInt32LE(0));
  },
  refuses: () => false,
  bytesMax: 4,
};

export const fuzzTargets: readonly FuzzTarget[] = [
  http2,
  hpack,
  hot,
  gen,
  raft,
  peerStream,
  peerHead,
  wal,
  snap,
  pages,
  snapshotFile,
  json,
  flags,
  yaml,
  ...answerTargets,
];
