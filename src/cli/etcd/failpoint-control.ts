/** `GOFAIL_HTTP=host:port`: the door through which a test switches the failpoints of this process. */
import type { Failpoints } from "../../base/failpoints.ts";
import { failpointsPage } from "../../http/failpoints-page.ts";
import { HttpServer } from "../../http/server.ts";
import { ConnectionPlaces } from "../../platform/connection-places.ts";
import type { Platform } from "../../platform/platform.ts";
import { Listeners } from "./listeners.ts";

/** A test has a connection or two. */
const connectionsMax = 64;

/** Serves until the process ends. @throws {ListenError} by rejection. */
export async function serveFailpoints(failpoints: Failpoints, address: string, platform: Platform): Promise<void> {
  const places = new ConnectionPlaces(connectionsMax, () => undefined);
  const listeners = new Listeners(platform, places);
  await listeners.bind(`http://${address}`);
  const { clock } = platform;
  listeners.serve({ http: new HttpServer({ clock, pages: new Map(), prefixes: [["/", failpointsPage(failpoints)]] }) });
  const where = listeners.addresses.map((bound) => ("path" in bound ? bound.path : `${bound.host}:${bound.port}`));
  platform.log.warn("failpoints can be switched by anybody who reaches this address; for tests only", {
    address: where.join(","),
  });
}
