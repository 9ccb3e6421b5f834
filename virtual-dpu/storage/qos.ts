import type { Qsd } from './qsd.ts';

/** Limits as `bdev_get_bdevs` shows them; 0 is none. Megabytes are MiB. */
export interface RateLimits {
  readonly rw_ios_per_sec: number;
  readonly rw_mbytes_per_sec: number;
  readonly r_mbytes_per_sec: number;
  readonly w_mbytes_per_sec: number;
}

/** No limit. */
export const NO_LIMITS: RateLimits = {
  rw_ios_per_sec: 0,
  rw_mbytes_per_sec: 0,
  r_mbytes_per_sec: 0,
  w_mbytes_per_sec: 0,
};

/** SPDK rounds limits of I/Os up to multiples of this (lib/bdev/bdev.c: SPDK_BDEV_QOS_MIN_IOS_PER_SEC). */
const IOS_STEP = 1000;
const MIB = 1024 * 1024;

/** The node with filters for limits above another, and the objects that hold them. */
export interface Throttled {
  readonly node: string;
  readonly throttle: { readonly total: string; readonly split: string };
  /** Takes the filters away. */
  readonly remove: () => Promise<void>;
  /** Puts them back, under the same names and without limits. */
  readonly add: () => Promise<void>;
}

/**
 * Puts filters without limits above a node. They are two, since a throttle group takes either a total or a limit for each direction,
 * and SPDK takes both.
 */
export async function addThrottle(qsd: Qsd, below: string): Promise<Throttled> {
  const throttle = { total: qsd.name('limit'), split: qsd.name('limit') };
  const lower = qsd.name('node');
  const node = qsd.name('node');
  const filter = async (name: string, group: string, file: string) => {
    await qsd.qmp.execute('object-add', { 'qom-type': 'throttle-group', id: group, limits: {} });
    await qsd.qmp.execute('blockdev-add', { driver: 'throttle', 'node-name': name, 'throttle-group': group, file });
  };
  const filters: Throttled = {
    node,
    throttle,
    async add() {
      await filter(lower, throttle.total, below);
      await filter(node, throttle.split, lower);
    },
    async remove() {
      for (const each of [node, lower]) await qsd.qmp.execute('blockdev-del', { 'node-name': each });
      for (const id of [throttle.split, throttle.total]) await qsd.qmp.execute('object-del', { id });
    },
  };
  await filters.add();
  return filters;
}

/** The limits after a change, rounded as SPDK does. */
export function changeLimits(before: RateLimits, change: Partial<RateLimits>): RateLimits {
  return {
    rw_ios_per_sec: Math.ceil((change.rw_ios_per_sec ?? before.rw_ios_per_sec) / IOS_STEP) * IOS_STEP,
    rw_mbytes_per_sec: change.rw_mbytes_per_sec ?? before.rw_mbytes_per_sec,
    r_mbytes_per_sec: change.r_mbytes_per_sec ?? before.r_mbytes_per_sec,
    w_mbytes_per_sec: change.w_mbytes_per_sec ?? before.w_mbytes_per_sec,
  };
}

/** Makes the storage daemon keep limits. */
export async function applyLimits(qsd: Qsd, to: Throttled['throttle'], limits: RateLimits): Promise<void> {
  const set = (group: string, value: object) =>
    qsd.qmp.execute('qom-set', { path: `/objects/${group}`, property: 'limits', value });
  await set(to.total, { 'iops-total': limits.rw_ios_per_sec, 'bps-total': limits.rw_mbytes_per_sec * MIB });
  await set(to.split, { 'bps-read': limits.r_mbytes_per_sec * MIB, 'bps-write': limits.w_mbytes_per_sec * MIB });
}
