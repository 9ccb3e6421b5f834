import type { Bdev } from './bdevs.ts';
import type { Export, Exports } from './exports.ts';
import { type Gate, type GateRules, openGate } from './nbd-gate.ts';
import { errno } from './rpc-error.ts';

/** A namespace of a subsystem. */
export interface Namespace {
  readonly nsid: number;
  readonly bdev: Bdev;
  readonly served: Export;
  readonly uuid: string;
  readonly nguid: string;
  /** Lets go of the bdev. */
  readonly release: () => void;
}

/** Where a subsystem is offered. */
export interface ListenAddress {
  readonly trtype: string;
  readonly adrfam: string;
  readonly traddr: string;
  readonly trsvcid: string;
}

/** An NVMe subsystem. */
export interface Subsystem {
  readonly nqn: string;
  readonly serial: string;
  readonly model: string;
  readonly maxNamespaces: number;
  readonly cntlids: readonly [number, number];
  allowAnyHost: boolean;
  readonly hosts: Set<string>;
  readonly listeners: ListenAddress[];
  readonly namespaces: Map<number, Namespace>;
}

/** What an initiator reads of a target: a line for each subsystem and namespace, and one that counts the changes. */
export type TargetLine =
  | { readonly kind: 'generation'; readonly generation: string }
  | { readonly kind: 'subsystem'; readonly nqn: string; readonly serial: string; readonly model: string }
  | {
      readonly kind: 'namespace';
      readonly nqn: string;
      readonly nsid: number;
      readonly sizeBytes: number;
      readonly blockSize: number;
      readonly uuid: string;
      readonly readOnly: boolean;
    };

/**
 * A stand-in for an NVMe-oF target: at each listener's address is an NBD server whose exports are the namespaces. Only a face understands its
 * list; the data is plain NBD.
 */
export interface NvmfTarget {
  readonly transports: Set<string>;
  readonly subsystems: Map<string, Subsystem>;
  listen(subsystem: Subsystem, address: ListenAddress): Promise<void>;
  unlisten(subsystem: Subsystem, address: ListenAddress): Promise<void>;
  addNamespace(
    subsystem: Subsystem,
    bdev: Bdev,
    options: { readonly nsid?: number; readonly uuid?: string; readonly nguid?: string },
  ): Promise<number>;
  removeNamespace(subsystem: Subsystem, nsid: number): Promise<void>;
  /** Whether an address is this target's own. */
  isOwn(traddr: string, trsvcid: string): boolean;
}

/** A target without anything. */
export function createNvmfTarget(exports: Exports, backend: string): NvmfTarget {
  const subsystems = new Map<string, Subsystem>();
  const gates = new Map<string, Gate>();
  // Exports of namespaces that went: a host that has one open finds errors there, and does not wait for it to come again.
  const retired = new Map<string, Export>();
  let generation = 0;
  let change = Promise.withResolvers<void>();
  const changed = () => {
    generation += 1;
    const done = change;
    change = Promise.withResolvers();
    done.resolve();
  };
  const offeredAt = (key: string) =>
    [...subsystems.values()].filter((each) => each.listeners.some((address) => keyOf(address) === key));
  const rules = (key: string): GateRules => ({
    resolve: (name) => {
      for (const each of offeredAt(key)) {
        for (const namespace of each.namespaces.values()) {
          if (exportName(each.nqn, namespace.nsid) === name) return namespace.served;
        }
      }
      return retired.get(name);
    },
    list: () => [
      line('', { kind: 'generation', generation: String(generation) }),
      ...offeredAt(key).flatMap((each) => [
        line(each.nqn, { kind: 'subsystem', nqn: each.nqn, serial: each.serial, model: each.model }),
        ...[...each.namespaces.values()].map(({ nsid, bdev, uuid }) =>
          line(exportName(each.nqn, nsid), {
            kind: 'namespace',
            nqn: each.nqn,
            nsid,
            sizeBytes: bdev.sizeBytes,
            blockSize: bdev.blockSize,
            uuid,
            readOnly: bdev.readOnly,
          }),
        ),
      ]),
    ],
    changed: async (since) => {
      if (since === String(generation)) await change.promise;
    },
  });
  const target: NvmfTarget = {
    transports: new Set(),
    subsystems,
    isOwn: (traddr, trsvcid) => gates.has(`${traddr}:${trsvcid}`),
    async listen(subsystem, address) {
      const key = keyOf(address);
      if (!gates.has(key)) {
        gates.set(key, await openGate({ host: address.traddr, port: Number(address.trsvcid) }, backend, rules(key)));
      }
      subsystem.listeners.push(address);
      changed();
    },
    async unlisten(subsystem, address) {
      const key = keyOf(address);
      const at = subsystem.listeners.findIndex((each) => keyOf(each) === key);
      if (at < 0) throw errno('ENOENT');
      subsystem.listeners.splice(at, 1);
      changed();
      if (offeredAt(key).length > 0) return;
      await gates.get(key)?.close();
      gates.delete(key);
    },
    async addNamespace(subsystem, bdev, options) {
      const nsid = options.nsid ?? freeId(subsystem);
      if (subsystem.namespaces.has(nsid) || nsid < 1 || nsid > subsystem.maxNamespaces) throw errno('EINVAL');
      if (bdev.claimedBy !== null) throw errno('EPERM');
      const served = await exports.add(bdev, { readOnly: false, path: null });
      const onRemove = () => target.removeNamespace(subsystem, nsid);
      const onResize = async () => changed();
      bdev.claimedBy = 'nvmf';
      bdev.onRemove.add(onRemove);
      bdev.onResize.add(onResize);
      const release = () => {
        bdev.claimedBy = null;
        bdev.onRemove.delete(onRemove);
        bdev.onResize.delete(onResize);
      };
      const uuid = options.uuid ?? bdev.uuid;
      const nguid = options.nguid ?? uuid.replaceAll('-', '').toUpperCase();
      const name = exportName(subsystem.nqn, nsid);
      const before = retired.get(name);
      retired.delete(name);
      if (before !== undefined) await exports.remove(before);
      subsystem.namespaces.set(nsid, { nsid, bdev, served, uuid, nguid, release });
      changed();
      return nsid;
    },
    async removeNamespace(subsystem, nsid) {
      const namespace = subsystem.namespaces.get(nsid);
      if (namespace === undefined) throw errno('ENOENT');
      subsystem.namespaces.delete(nsid);
      namespace.release();
      retired.set(exportName(subsystem.nqn, nsid), namespace.served);
      await exports.orphan(namespace.served);
      changed();
    },
  };
  return target;
}

/** The NBD export of a namespace. */
export function exportName(nqn: string, nsid: number): string {
  return `${nqn}/${nsid}`;
}

/** A subsystem as `nvmf_get_subsystems` shows it. */
export function describeSubsystem(each: Subsystem): object {
  return {
    nqn: each.nqn,
    subtype: 'NVMe',
    listen_addresses: each.listeners.map((address) => ({ transport: address.trtype, ...address })),
    allow_any_host: each.allowAnyHost,
    hosts: [...each.hosts].map((nqn) => ({ nqn })),
    serial_number: each.serial,
    model_number: each.model,
    max_namespaces: each.maxNamespaces,
    min_cntlid: each.cntlids[0],
    max_cntlid: each.cntlids[1],
    namespaces: [...each.namespaces.values()].map(({ nsid, bdev, uuid, nguid }) => ({
      nsid,
      bdev_name: bdev.name,
      name: bdev.name,
      nguid,
      uuid,
    })),
  };
}

function keyOf(address: ListenAddress): string {
  return `${address.traddr}:${address.trsvcid}`;
}

function line(name: string, content: TargetLine): { readonly name: string; readonly description: string } {
  return { name, description: JSON.stringify(content) };
}

function freeId(subsystem: Subsystem): number {
  let nsid = 1;
  while (subsystem.namespaces.has(nsid)) nsid += 1;
  return nsid;
}
