import { randomUUID } from 'node:crypto';
import type { Export } from './exports.ts';
import { type Counters, noCounters } from './iostat.ts';
import { NO_LIMITS, type RateLimits } from './qos.ts';
import { errno } from './rpc-error.ts';

/** The kinds of I/O that `bdev_get_bdevs` tells of, in SPDK's order. */
const IO_TYPES = [
  'read',
  'write',
  'unmap',
  'write_zeroes',
  'flush',
  'reset',
  'compare',
  'compare_and_write',
  'abort',
  'nvme_admin',
  'nvme_io',
] as const;

/** A kind of I/O. */
export type IoType = (typeof IO_TYPES)[number];

/** What a module brings of a bdev. */
export interface BdevSpec {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly uuid?: string;
  readonly module: 'aio' | 'malloc' | 'rbd' | 'lvol' | 'nvme';
  readonly productName: string;
  readonly blockSize: number;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly ioTypes: readonly IoType[];
  /** The storage daemon's node that users are given; filters for limits are in it. */
  readonly node: string;
  readonly throttle: { readonly total: string; readonly split: string };
  /** Whether each write must be flushed before it is acknowledged, since the format holds metadata in memory. */
  readonly writeThrough: boolean;
  /** The plain file that it is, if it is one. */
  readonly file?: string;
  readonly driverSpecific: () => object;
  /** What makes it again (`framework_get_config`); null for what lies on others. */
  readonly config: { readonly method: string; readonly params: object } | null;
  /** Takes its nodes away; no export has them any more. */
  readonly destroy: () => Promise<void>;
}

/** A block device. */
export interface Bdev extends Omit<BdevSpec, 'aliases' | 'uuid' | 'sizeBytes' | 'readOnly'> {
  aliases: readonly string[];
  readonly uuid: string;
  sizeBytes: number;
  readOnly: boolean;
  limits: RateLimits;
  counters: Counters;
  /** The module that writes it alone; null when anyone may. */
  claimedBy: string | null;
  readonly exports: Set<Export>;
  /** Called when it is about to go. */
  readonly onRemove: Set<() => Promise<void>>;
  /** Called when it has another size. */
  readonly onResize: Set<() => Promise<void>>;
}

/** A notification of SPDK. */
export interface Notification {
  readonly type: string;
  readonly ctx: string;
  readonly id: number;
}

/** How many notifications are kept (SPDK lib/notify: SPDK_NOTIFY_MAX_EVENTS). */
const KEPT = 1024;

/** The bdevs there are. */
export interface Bdevs {
  readonly all: () => readonly Bdev[];
  readonly find: (name: string) => Bdev | undefined;
  /** @throws RpcError `EEXIST`, after `destroy` was called: a name, an alias or the uuid is taken */
  readonly add: (spec: BdevSpec) => Promise<Bdev>;
  /** Takes it from all who have it, and away. */
  readonly remove: (bdev: Bdev) => Promise<void>;
  readonly notifications: () => readonly Notification[];
  /** Settles when a bdev is added. */
  readonly added: () => Promise<void>;
}

/** An empty list. */
export function createBdevs(): Bdevs {
  const byName = new Map<string, Bdev>();
  const notes: Notification[] = [];
  let nextNote = 0;
  let addition = Promise.withResolvers<void>();
  const find = (name: string) => byName.get(name) ?? [...byName.values()].find((each) => each.aliases.includes(name));
  const notify = (type: string, ctx: string) => {
    notes.push({ type, ctx, id: nextNote });
    nextNote += 1;
    if (notes.length > KEPT) notes.shift();
  };
  return {
    all: () => [...byName.values()],
    find,
    async add(spec) {
      const uuid = (spec.uuid ?? randomUUID()).toLowerCase();
      const bdev: Bdev = {
        ...spec,
        aliases: [...(spec.name === uuid ? [] : [uuid]), ...(spec.aliases ?? [])],
        uuid,
        limits: NO_LIMITS,
        counters: noCounters(),
        claimedBy: null,
        exports: new Set(),
        onRemove: new Set(),
        onResize: new Set(),
      };
      if ([bdev.name, ...bdev.aliases].some((each) => find(each) !== undefined)) {
        await spec.destroy();
        throw errno('EEXIST');
      }
      byName.set(bdev.name, bdev);
      notify('bdev_register', bdev.name);
      const done = addition;
      addition = Promise.withResolvers();
      done.resolve();
      return bdev;
    },
    async remove(bdev) {
      byName.delete(bdev.name);
      notify('bdev_unregister', bdev.name);
      for (const each of [...bdev.onRemove]) await each();
      await bdev.destroy();
    },
    notifications: () => notes,
    added: () => addition.promise,
  };
}

/** A bdev as `bdev_get_bdevs` shows it. */
export function describeBdev(bdev: Bdev): object {
  const types = new Set<string>(bdev.ioTypes);
  if (bdev.readOnly) for (const each of ['write', 'unmap', 'write_zeroes']) types.delete(each);
  return {
    name: bdev.name,
    aliases: bdev.aliases,
    product_name: bdev.productName,
    block_size: bdev.blockSize,
    num_blocks: Math.floor(bdev.sizeBytes / bdev.blockSize),
    uuid: bdev.uuid,
    assigned_rate_limits: bdev.limits,
    claimed: bdev.claimedBy !== null,
    ...(bdev.claimedBy !== null && { claim_type: 'exclusive_write' }),
    zoned: false,
    supported_io_types: Object.fromEntries(IO_TYPES.map((each) => [each, types.has(each)])),
    ...(bdev.module === 'lvol' && {
      memory_domains: [{ dma_device_id: 'SPDK_ACCEL_DMA_DEVICE', dma_device_type: 2 }],
    }),
    driver_specific: bdev.driverSpecific(),
  };
}
