/** Takes a backup whenever the schedule says so, one at a time, and keeps count. A failed one never harms the member. */
import { statfs } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { InvariantError } from "../../../base/assert.ts";
import type { BackupCounters } from "../../../http/metrics/backup-metrics.ts";
import { formatId } from "../../../membership/member.ts";
import type { Timer } from "../../../platform/clock.ts";
import type { Logger } from "../../../platform/logger.ts";
import type { Member } from "../../../server/member.ts";
import { listBackups } from "../../quorate/backup/catalog.ts";
import { DurationField } from "../logging.ts";
import { asError } from "../process-exit.ts";
import { type BackupSettings, resolveRecipients } from "./backup-settings.ts";
import type { BackupTool } from "./backup-tool.ts";
import { takeBackup } from "./take-backup.ts";

/** The wall clock may be set: the time that is left is computed anew this often. */
const lookAgainMs = 60_000;

export class BackupScheduler implements BackupCounters {
  readonly #settings: BackupSettings;
  readonly #member: Member;
  readonly #tool: BackupTool;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  nextAt = 0;
  lastSuccessAt = 0;
  lastDurationMs = 0;
  lastSize = 0;
  successes = 0;
  failures = 0;
  skipped = 0;
  drillLastSuccessAt = 0;

  constructor(settings: BackupSettings, member: Member, tool: BackupTool) {
    this.#settings = settings;
    this.#member = member;
    this.#tool = tool;
    this.#log = member.platform.log.withCaller("backup/backup-scheduler.ts");
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  start(): void {
    this.#recall();
    const { directory, recipientSources } = this.#settings;
    this.#plan();
    const next = this.nextAt === 0 ? "never" : new Date(this.nextAt).toISOString();
    this.#log.info("backups are scheduled", { directory, encrypted: recipientSources.length > 0, next });
  }

  /** Ends one that is under way; what it has written is removed. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#stopping.abort(new Error("the member stops"));
    await this.#running;
  }

  /** After a restart the newest backup is still the newest, and alerts on its age must not fire. */
  #recall(): void {
    const { platform, clusterId } = this.#member;
    try {
      const own = listBackups(platform.disk, this.#settings.directory).filter(
        (backup) => backup.clusterId === formatId(clusterId) && backup.facts !== undefined,
      );
      const facts = own.at(-1)?.facts;
      if (facts === undefined) return;
      this.lastSuccessAt = Date.parse(facts.createdAt);
      this.drillLastSuccessAt = Date.parse(facts.verifiedAt);
      this.lastSize = facts.size;
    } catch (error) {
      this.#log.warn("the backups of before cannot be listed", { error: asError(error) });
    }
  }

  /** Sets the timer for the next time that is due. */
  #plan(): void {
    const { clock } = this.#member.platform;
    this.nextAt = this.#settings.schedule.next(clock.now()) ?? 0;
    if (this.nextAt !== 0) this.#await();
  }

  #await(): void {
    const { clock } = this.#member.platform;
    const leftMs = this.nextAt - clock.now();
    this.#timer = clock.setTimer(
      () => {
        if (clock.now() < this.nextAt) return this.#await();
        this.#begin();
        this.#plan();
      },
      Math.min(Math.max(leftMs, 0), lookAgainMs),
    );
  }

  #begin(): void {
    if (this.#running !== undefined) {
      this.skipped++;
      this.#log.warn("the backup before is still being taken; this one is skipped");
      return;
    }
    this.#running = this.#take().finally(() => (this.#running = undefined));
  }

  /** Rejects for bugs of ours alone, which end the process. */
  async #take(): Promise<void> {
    const { clock } = this.#member.platform;
    const { directory, retention, recipientSources } = this.#settings;
    const startedMs = clock.monotonic();
    try {
      const { name, facts, removed } = await takeBackup({
        member: this.#member,
        tool: this.#tool,
        directory,
        retention,
        // Read each time, so that recipients can be changed without a restart.
        recipients: resolveRecipients(recipientSources, (path) => readFileSync(path, "utf8")),
        freeBytes: async (path) => {
          const { bavail, bsize } = await statfs(path);
          return bavail * bsize;
        },
        signal: this.#stopping.signal,
        onVerified: () => (this.drillLastSuccessAt = clock.now()),
      });
      this.successes++;
      this.lastSuccessAt = clock.now();
      this.lastDurationMs = clock.monotonic() - startedMs;
      this.lastSize = facts.size;
      this.#log.info("saved a backup; a restored copy of it has the member's HashKV", {
        name,
        directory,
        size: facts.size,
        revision: facts.revision,
        hash: facts.hash,
        encrypted: facts.recipients.length > 0,
        took: new DurationField(this.lastDurationMs),
        removed,
      });
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      if (this.#stopping.signal.aborted) return;
      this.failures++;
      this.#log.error("failed to take the scheduled backup; those of before are untouched", {
        directory,
        error: asError(error),
      });
    }
  }
}
