/** A log as a first start leaves it that ended right after creating it: metadata, and no entry yet. */
import type { Member } from "../../src/server/member.ts";
import { Wal } from "../../src/storage/wal/wal.ts";
import { Metadata } from "../../src/wire/gen/etcdserverpb/etcdserver.ts";

export async function createEmptyWal(directory: string, { platform, memberId, clusterId }: Member): Promise<void> {
  const metadata = Metadata.encode({ NodeID: memberId, ClusterID: clusterId }).finish();
  const wal = await Wal.create(platform.disk, directory, metadata, { clock: platform.clock, log: platform.log });
  await wal.close();
}
