/**
 * Data directories that etcd 3.5.30 has left (stopped, killed, damaged): ours starts on each and shows what etcd showed,
 * or refuses it as etcd did. After a stop and a second start it must still show the same.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { AlarmType } from "../src/alarm/alarm-store.ts";
import type { MemberConfig } from "../src/server/config.ts";
import type { Member } from "../src/server/member.ts";
import { startMember } from "../src/server/start-member.ts";
import { memberConfig } from "../src/server/config.ts";
import { EtcdError } from "../src/wire/errors.ts";
import { Permission } from "../src/wire/gen/authpb/auth.ts";
import { fixtureText, removeDirectory, temporaryDirectory, unpackFixture } from "./support/fixture.ts";
import { base64, dumpSha256, hashKv, historySha256, startReadyMember, testPlatform } from "./support/member.ts";

interface Failure {
  readonly code?: number;
  readonly message?: string;
}

interface Shows {
  readonly cluster_id: string;
  readonly member_id: string;
  readonly revision: number;
  readonly compact_revision: number;
  readonly hashkv: readonly ({
    readonly revision: number;
    readonly hash: number;
    readonly compact_revision: string;
  } & Failure)[];
  readonly keyspace_at: readonly ({
    readonly revision: number;
    readonly keys: number;
    readonly dump_sha256: string;
  } & Failure)[];
  readonly history: { readonly from: number; readonly events: number; readonly sha256: string };
  readonly leases: readonly { readonly id: string; readonly granted_ttl: string; readonly keys: readonly string[] }[];
  readonly members: readonly object[];
  readonly alarms: readonly { readonly memberID: string; readonly alarm: string }[];
  readonly auth: ShownAuth;
}

interface ShownAuth {
  readonly enabled: boolean;
  readonly revision: string;
  readonly users: readonly { readonly name: string; readonly roles: readonly string[] }[];
  readonly roles: readonly { readonly name: string; readonly perm: readonly object[] }[];
  readonly logins?: readonly { readonly name: string; readonly password: string; readonly ok: boolean }[];
}

interface Expected {
  readonly start_flags: readonly string[];
  readonly expect: {
    readonly outcome: "serves" | "refuses";
    readonly shows: Shows;
    readonly after_stop: { readonly wal_segments: string[]; readonly snap_files: string[]; readonly broken: string[] };
  };
}

const root = "data-dirs";
const names = readdirSync(join(import.meta.dirname, "fixtures", root)).sort();

const refused: Record<string, RegExp> = {
  "db-both-metas-bad": /member\/snap\/db/,
  "downgrade-enabled": /server version is not allowed to join when downgrade is enabled/,
  "torn-tail-crc-bad": /\.wal, offset \d+/,
  "wal-bitflip-entry-data": /\.wal, offset \d+/,
  "wal-bitflip-metadata": /\.wal, offset \d+/,
};

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) removeDirectory(directory);
});

function unpack(name: string): { config: Partial<MemberConfig> & { dataDir: string }; expected: Expected["expect"] } {
  const work = temporaryDirectory();
  directories.push(work);
  const { start_flags: flags, expect: expected } = JSON.parse(fixtureText(`${root}/${name}/expected.json`)) as Expected;
  unpackFixture(`${root}/${name}/data.tar.gz`, work);
  return { config: configOf(flags, work), expected };
}

function configOf(flags: readonly string[], work: string): Partial<MemberConfig> & { dataDir: string } {
  const value = (flag: string): string | undefined => {
    const at = flags.indexOf(`--${flag}`);
    return at < 0 ? undefined : flags[at + 1].replace("${WORK}", work);
  };
  const peerUrls = [value("initial-advertise-peer-urls")!];
  return {
    name: value("name")!,
    dataDir: value("data-dir")!,
    walDir: value("wal-dir"),
    snapshotCount: Number(value("snapshot-count") ?? 10_000),
    quotaBackendBytes: Number(value("quota-backend-bytes") ?? 0),
    advertiseClientUrls: [value("advertise-client-urls")!],
    initialAdvertisePeerUrls: peerUrls,
    initialCluster: [{ name: value("name")!, peerUrls }],
    initialClusterToken: value("initial-cluster-token")!,
    forceNewCluster: flags.includes("--force-new-cluster"),
    leaseCheckpoint: flags.includes("--experimental-enable-lease-checkpoint"),
    leaseCheckpointPersist: flags.includes("--experimental-enable-lease-checkpoint-persist"),
  };
}

/** Runs a read and gives its result, or the error as the fixtures have it. */
function outcome<T extends object>(read: () => T): T | Failure {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    return { code: error.code, message: error.message };
  }
}

async function observe(member: Member, expected: Shows): Promise<Shows> {
  const { store, lessor, membership, alarms } = member;
  return {
    ...expected,
    cluster_id: String(member.clusterId),
    member_id: String(member.memberId),
    revision: store.currentRevision,
    compact_revision: store.compactRevision,
    hashkv: expected.hashkv.map(({ revision }) => {
      const read = (): object => {
        const { hash, compactRevision } = hashKv(member, revision);
        return { hash, compact_revision: String(compactRevision) };
      };
      return { revision, ...outcome(read) } as Shows["hashkv"][number];
    }),
    keyspace_at: expected.keyspace_at.map(({ revision }) => {
      const read = (): object => {
        const { keys, sha256 } = dumpSha256(member, revision);
        return { keys, dump_sha256: sha256 };
      };
      return { revision, ...outcome(read) } as Shows["keyspace_at"][number];
    }),
    history: { ...expected.history, ...historySha256(member, expected.history.from) },
    leases: lessor
      .leaseIds()
      .sort((a, b) => (a < b ? -1 : 1))
      .map((id) => ({
        id: String(id),
        granted_ttl: String(lessor.lookup(id)!.ttlSeconds),
        keys: lessor.keysOf(id).map(base64).sort(), // as recorded: by text
      })),
    members: membership.members().map((known) => ({
      ID: String(known.id),
      name: known.name,
      peerURLs: known.peerUrls,
      clientURLs: known.clientUrls,
      isLearner: known.isLearner,
    })),
    alarms: alarms.list().map(({ memberId, alarm }) => ({
      memberID: String(memberId),
      alarm: alarm === AlarmType.NoSpace ? "NOSPACE" : "CORRUPT",
    })),
    auth: await observeAuth(member, expected.auth),
  };
}

async function observeAuth({ auth, passwords }: Member, expected: ShownAuth): Promise<ShownAuth> {
  const logins: object[] = [];
  for (const { name, password } of expected.logins ?? []) {
    const stored = outcome(() => ({ hash: auth.passwordOf(name) }));
    const ok = "hash" in stored && (await passwords.matches(password, stored.hash));
    const failure = "hash" in stored ? new EtcdError("authFailed") : stored;
    logins.push({ name, password, ok, ...(ok ? {} : { code: failure.code, message: failure.message }) });
  }
  const shown = {
    enabled: auth.isEnabled,
    revision: String(auth.revision),
    users: auth.userNames().map((name) => ({ name, roles: auth.rolesOf(name) })),
    roles: auth.roleNames().map((name) => ({
      name,
      // Since 3.6 the answer for this role does not come from its row; 3.5.30 shows the row, which grants nothing.
      perm: name === "root" ? [] : auth.permissionsOf(name).map((one) => Permission.toJSON(one) as object),
    })),
  };
  return expected.logins === undefined ? shown : { ...shown, logins: logins as NonNullable<ShownAuth["logins"]> };
}

describe.each(names)("%s", (name) => {
  const reason = refused[name];
  if (reason !== undefined) {
    test("is refused with a reason", async () => {
      const { config, expected } = unpack(name);
      expect(expected.outcome).toBe("refuses");
      await expect(startMember(memberConfig(config), testPlatform([]))).rejects.toThrow(reason);
    });
    return;
  }

  test("shows what etcd showed, also after another start", async () => {
    const { config, expected } = unpack(name);
    expect(expected.outcome).toBe("serves");
    for (let start = 0; start < 2; start++) {
      const member = await startReadyMember(config);
      expect(await observe(member, expected.shows)).toEqual(expected.shows);
      await member.stop();
    }
  });
});
