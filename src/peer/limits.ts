/**
 * Every limit and period of the peer protocol, with its reason. Those marked "etcd" are etcd's own
 * (server/etcdserver/api/rafthttp); both sides count on them.
 */
import { assert } from "../base/assert.ts";

/** A connection on which nothing moves for this long is broken. etcd: `ConnReadTimeout`, `ConnWriteTimeout`. */
export const connectionTimeoutMs = 5000;
/**
 * A stream that was dialed and has no answer yet is broken after this long. The other side may be starting: it accepts, and takes
 * up what waits only when it is ready, in any order. A dial that we gave up meanwhile would then replace the good one, and what
 * is written to it is lost. etcd waits without limit; a start that asks a cluster without a leader takes seven seconds.
 */
export const streamAnswerMs = 10_000;
/** A stream says at least this often that it lives. etcd: a third of the time limit. */
export const linkHeartbeatMs = connectionTimeoutMs / 3;
/** Shortest time between two attempts of one stream to connect. etcd: `DialRetryFrequency`, 10 a second. */
export const redialMs = 100;
/** How often connections are checked for life; silence is noticed within one such period. */
export const watchPeriodMs = 500;

/** Messages that wait for one stream. etcd: `streamBufSize`. */
export const streamQueueMax = 4096;
/** Bytes of the messages that wait for one stream; etcd has no such limit, and a message may be a megabyte. */
export const streamQueueBytesMax = 64 << 20;
/** Most bytes of one write to a stream, so that a slow link still shows progress. */
export const streamWriteBytesMax = 256 << 10;
/** Messages that wait for the pipeline. etcd: `pipelineBufSize`. */
export const pipelineQueueMax = 64;
/** Requests of one pipeline under way at a time. etcd: `connPerPipeline`. */
export const pipelineConcurrency = 4;
/** A pipeline request without an answer; etcd waits for ever and loses the worker until TCP gives up. */
export const pipelineTimeoutMs = 10_000;

/** One message or entry on a stream or in a pipeline request. etcd: `readBytesLimit`. */
export const messageBytesMax = 512 << 20;
/** The message in front of a snapshot's database. etcd 3.6: `snapshotLimitByte`. */
export const snapshotMessageBytesMax = 64 << 20;
/** Piece in which a snapshot's database is read and sent. */
export const snapshotPieceBytes = 256 << 10;
/** Received snapshot bytes that wait for the disk before the connection is paused. */
export const snapshotWaitingBytesMax = 4 << 20;
/** A snapshot whose receiver takes nothing for this long is given up, and its view of the database released. */
export const snapshotStallMs = 60_000;
/** From the last byte sent to the answer: the receiver syncs the file meanwhile. */
export const snapshotAnswerMs = 5 * 60_000;

/** etcd: `proberInterval`; shorter than {@link connectionTimeoutMs}. */
export const probePeriodMs = 4000;
/** How often the state of a probe is looked at: while it fails, and otherwise. etcd: `statusErrorInterval`, `statusMonitoringInterval`. */
export const probeReportFailingMs = 5000;
export const probeReportMs = 30_000;
/** Difference of the wall clocks that is worth a warning. etcd. */
export const clockDriftMaxMs = 1000;

/**
 * An answer on a connection that was kept: its other end may be gone without a word, which a dial would have found out. Leaders
 * answer in milliseconds.
 */
export const reusedAnswerMs = 1000;

/** Largest head (request or status line and fields) of a message. Go allows a megabyte; peers send under a kilobyte. */
export const headBytesMax = 64 << 10;
/** From the first byte of a request to the end of its head, which a member sends at once. etcd: five minutes for all of it. */
export const headTimeoutMs = 20_000;
/** Body of a forwarded lease request. etcd: `maxLeaseHTTPRequestSize`. */
export const leaseRequestBytesMax = 64 << 10;
/** Body of an answer to a lease request, which may list every key of a lease. etcd: `maxLeaseHTTPResponseSize`. */
export const leaseResponseBytesMax = 100 << 20;
/** Body of a request for hashes, a few bytes. etcd 3.7: `maxHashKVHTTPRequestSize`; 3.6 has no limit. */
export const hashRequestBytesMax = 64 << 10;
/** Body of any other answer. */
export const smallBodyBytesMax = 16 << 20;
/** A connection that we ended and the other side keeps open is destroyed after this long. */
export const lingerMs = 1000;

assert(probePeriodMs < connectionTimeoutMs, "a probe keeps its connection alive");
assert(streamWriteBytesMax < streamQueueBytesMax, "a write fits into the queue");
