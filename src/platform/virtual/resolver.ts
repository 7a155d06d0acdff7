/** DNS of the virtual world: tables that a test fills. A host that is not in them has no address. */
import { isIP } from "node:net";
import { NetworkError } from "../network.ts";
import type { Resolver, ServiceRecord } from "../resolver.ts";

export interface VirtualNames {
  readonly addresses: Map<string, readonly string[]>;
  readonly services: Map<string, readonly ServiceRecord[]>;
}

export class VirtualResolver implements Resolver {
  readonly #names: VirtualNames;

  constructor(names: VirtualNames) {
    this.#names = names;
  }

  lookupAddresses(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return Promise.resolve([host]);
    return found(host, this.#names.addresses.get(host.replace(/\.$/, "")));
  }

  lookupServices(name: string): Promise<readonly ServiceRecord[]> {
    return found(name, this.#names.services.get(name));
  }
}

function found<T>(name: string, answer: readonly T[] | undefined): Promise<readonly T[]> {
  if (answer !== undefined && answer.length > 0) return Promise.resolve(answer);
  return Promise.reject(new NetworkError("ENOTFOUND", `lookup ${name}: no such host`));
}
