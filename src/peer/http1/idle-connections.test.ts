import { expect, test } from "vitest";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import type { Connection, ConnectionHandlers } from "../../platform/network.ts";
import { IdleConnections } from "./idle-connections.ts";

interface Fake {
  readonly connection: Connection;
  handlers: ConnectionHandlers | undefined;
  isDestroyed: boolean;
}

function fake(): Fake {
  const state: Fake = {
    connection: {
      setHandlers: (handlers: ConnectionHandlers) => (state.handlers = handlers),
      destroy: () => (state.isDestroyed = true),
    } as unknown as Connection,
    handlers: undefined,
    isDestroyed: false,
  };
  return state;
}

test("the newest connection to a place is taken first, and each once", () => {
  const idle = new IdleConnections(new ManualClock());
  const [a, b, elsewhere] = [fake(), fake(), fake()];
  idle.keep("x", a.connection);
  idle.keep("x", b.connection);
  idle.keep("y", elsewhere.connection);
  expect([idle.take("x"), idle.take("x"), idle.take("x")]).toEqual([b.connection, a.connection, undefined]);
});

test("one that has waited for long, or to which anything comes, is given up", () => {
  const clock = new ManualClock();
  const idle = new IdleConnections(clock);
  const [old, older, ended] = [fake(), fake(), fake()];
  idle.keep("x", older.connection);
  idle.keep("x", old.connection);
  clock.advance(2_500);
  expect(idle.take("x")).toBeUndefined();
  expect([old.isDestroyed, older.isDestroyed]).toEqual([true, true]);
  idle.keep("x", ended.connection);
  ended.handlers?.end();
  expect([idle.take("x"), ended.isDestroyed]).toEqual([undefined, true]);
});

test("there are never more than etcd keeps, and none once it is closed", () => {
  const idle = new IdleConnections(new ManualClock());
  const all = Array.from({ length: 1_025 }, fake);
  for (const { connection } of all) idle.keep("x", connection);
  expect(all.filter(({ isDestroyed }) => isDestroyed)).toEqual([all[0]]);
  idle.close();
  const late = fake();
  idle.keep("x", late.connection);
  expect([...all, late].every(({ isDestroyed }) => isDestroyed)).toBe(true);
});
