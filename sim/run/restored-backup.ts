/**
 * A backup, restored as `etcdutl snapshot restore` does it, on a drive of its own whose power fails when the restore says that
 * it is done: the files must be sound, and hold a state that the cluster really had.
 */
import { join } from "node:path";
import { restoreSnapshot } from "../../src/cli/etcdutl/restore/restore.ts";
import { Store } from "../../src/mvcc/store.ts";
import { type Scheduler, VirtualClock, VirtualDisk, VirtualDrive } from "../../src/platform/virtual/index.ts";
import { Backend } from "../../src/storage/backend/backend.ts";
import { decodeRangeRequest } from "../../src/wire/hot/kv-requests.ts";
import { decodeKeyValue } from "../../src/wire/hot/key-value.ts";
import { RangeRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import type { Pair, RangeResult } from "../history/history.ts";
import { toRangeMessage, toText } from "../history/messages.ts";
import { dataDir } from "../world/machine.ts";
import { SimLog } from "../world/sim-log.ts";
import { checkDrive } from "./storage-checks.ts";

export const everything = { kind: "range", key: "a", end: "z", isSerializable: true } as const;

export interface RestoredBackup {
  /** What is wrong with the files. */
  readonly problems: readonly string[];
  readonly result: RangeResult;
}

/** @param image - as `Snapshot` sends it. Everything takes the scheduler's time. */
export async function restoreBackup(image: Uint8Array, scheduler: Scheduler): Promise<RestoredBackup> {
  const drive = new VirtualDrive({ seed: image.length });
  const clock = new VirtualClock(scheduler);
  const log = new SimLog(() => 0, "fatal");
  const disk = new VirtualDisk(drive, clock);
  disk.open("/image", "createNew").writeSync(image, 0);
  await restoreSnapshot(
    { disk, clock, log },
    {
      snapshotPath: "/image",
      dataDir,
      walDir: undefined,
      skipHashCheck: false,
      bumpRevision: 0,
      initialMmapSize: 0n,
      name: "restored",
      initialCluster: "restored=http://10.0.2.1:2380",
      initialClusterToken: "restored",
      peerUrls: ["http://10.0.2.1:2380"],
    },
  );
  drive.crash();
  const problems = checkDrive(drive);
  const left = new VirtualDisk(drive, clock);
  const backend = await Backend.open(left, clock, log, join(dataDir, "member", "snap", "db"), { readOnly: true });
  try {
    const store = Store.open(backend);
    const request = decodeRangeRequest(RangeRequest.encode(toRangeMessage(everything)).finish());
    const { response, revision } = store.range(request);
    const pairs = response.kvs.map((kv): Pair => {
      const { key, value, createRevision, modRevision, version, lease } = decodeKeyValue(kv);
      return { key: toText(key), value: toText(value), createRevision, modRevision, version, lease: String(lease) };
    });
    return { problems, result: { kind: "range", revision, pairs, count: response.count } };
  } finally {
    await backend.close();
  }
}
