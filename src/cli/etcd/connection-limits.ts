/** How the process's file descriptors are shared out between its own files, clients and peers. */
import { ConnectionPlaces } from "../../platform/connection-places.ts";
import type { Logger } from "../../platform/logger.ts";
import { ListenError } from "./listeners.ts";

/** For the log, the database, snapshots, connections to peers. etcd: `reservedInternalFDNum`. */
const reservedFiles = 150;
/** Connections that peers may open; a cluster of seven needs about fifty. */
const peersMax = 4096;
/** ... and no more than this part of all descriptors. */
const peersShare = 1 / 8;

export interface DoorPlaces {
  /** Of all listeners but the peers'. */
  readonly clients: ConnectionPlaces;
  readonly peers: ConnectionPlaces;
}

/**
 * @param fileLimit - `RLIMIT_NOFILE`; not positive when there is none, or it is unknown.
 * @throws {ListenError} when the limit leaves no room for clients, as etcd refuses to start then.
 */
export function doorPlaces(fileLimit: number, log: Logger): DoorPlaces {
  const limit = fileLimit > 0 ? fileLimit : Number.MAX_SAFE_INTEGER;
  const peers = Math.min(peersMax, Math.floor(limit * peersShare));
  const clients = limit - reservedFiles - peers;
  if (clients <= 0) {
    throw new ListenError(
      `file descriptor limit of etcd process is too low; please set higher: is ${limit}, recommended are more than ` +
        `${Math.ceil(reservedFiles / (1 - peersShare))}`,
    );
  }
  const told = (who: string, max: number) => (): void => {
    log.warn(`too many connections of ${who}; closing further ones`, { "connections-limit": max });
  };
  return {
    clients: new ConnectionPlaces(clients, told("clients", clients)),
    peers: new ConnectionPlaces(peers, told("peers", peers)),
  };
}
