/** The minority side of a cluster of ours answers as that of a Go cluster does. */
import { describe, expect, test } from "vitest";
import { observeMinority } from "../support/minority.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "the minority side"), () => {
  test("both kinds say the same to probes and clients", async () => {
    const { etcd } = theGoEtcd("3.6");
    const theirs = await observeMinority([etcd, etcd, etcd]);
    expect(await observeMinority([undefined, undefined, undefined])).toEqual(theirs);
  });
});
