/** The help of every command, beside that of the real etcdctl and etcdutl. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { program, runToEnd } from "../support/process.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "help"), () => {
  test.each(["etcdctl", "etcdutl"] as const)("all help of %s is the real one's", (name) => {
    const path = join(import.meta.dirname, "../fixtures/commands", `${name}.json`);
    const table = JSON.parse(readFileSync(path, "utf8")) as object;
    for (const command of Object.keys(table)) {
      if (command.startsWith("completion ")) continue;
      const args = [...command.split(" ").filter((word) => word !== ""), "--help"];
      expect(runToEnd(program(name), args), command).toEqual(runToEnd(theGoEtcd("3.6")[name], args));
    }
  });
});
