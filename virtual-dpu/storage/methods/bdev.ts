import { setTimeout as sleep } from 'node:timers/promises';
import { type Bdev, describeBdev } from '../bdevs.ts';
import type { Face, Method } from '../face.ts';
import { describeCounters, noCounters, TICK_RATE } from '../iostat.ts';
import { Later } from '../later.ts';
import { examine } from '../lvol-store.ts';
import { decode, decodeOptional } from '../params.ts';
import { applyLimits, changeLimits } from '../qos.ts';
import { errno, RPC, RpcError } from '../rpc-error.ts';

/** Methods of bdevs of any kind (SPDK doc/jsonrpc.md, "Block Device Abstraction Layer"). */
export const bdevMethods: Readonly<Record<string, Method>> = {
  bdev_get_bdevs(face, params) {
    const { name, timeout } = decodeOptional(params, { name: 'string?', timeout: 'uint64?' });
    if (name === undefined) return face.bdevs.all().map(describeBdev);
    const found = face.bdevs.find(name);
    if (found !== undefined) return [describeBdev(found)];
    if (timeout === undefined || timeout === 0) throw errno('ENODEV');
    return new Later(async () => [describeBdev(await appears(face, name, timeout))]);
  },
  bdev_get_iostat(face, params) {
    const { name } = decodeOptional(params, { name: 'string?', per_channel: 'bool?' });
    const bdevs = name === undefined ? face.bdevs.all() : [existing(face, name)];
    return {
      tick_rate: TICK_RATE,
      ticks: Math.round(performance.now() * (TICK_RATE / 1000)),
      bdevs: bdevs.map((each) => describeCounters(each.name, each.counters)),
    };
  },
  bdev_reset_iostat(face, params) {
    const { name } = decodeOptional(params, { name: 'string?', mode: 'string?' });
    for (const each of name === undefined ? face.bdevs.all() : [existing(face, name)]) each.counters = noCounters();
    return true;
  },
  async bdev_set_qos_limit(face, params) {
    const { name, ...limits } = decode(params, {
      name: 'string',
      rw_ios_per_sec: 'uint64?',
      rw_mbytes_per_sec: 'uint64?',
      r_mbytes_per_sec: 'uint64?',
      w_mbytes_per_sec: 'uint64?',
    });
    const bdev = existing(face, name);
    if (Object.values(limits).every((each) => each === undefined)) throw new RpcError(-22, 'No rate limits specified');
    const given = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
    const after = changeLimits(bdev.limits, given);
    await applyLimits(face.qsd, bdev.throttle, after);
    bdev.limits = after;
    return true;
  },
  async bdev_examine(face, params) {
    const { name } = decode(params, { name: 'string' });
    const found = face.bdevs.find(name);
    if (found !== undefined) await examine(face, found);
    return true;
  },
  bdev_wait_for_examine: (_face, params) => {
    if (params !== undefined) {
      throw new RpcError(RPC.invalidParams, 'bdev_wait_for_examine requires no parameters');
    }
    return true;
  },
};

/** A bdev by its name or an alias. @throws RpcError `ENODEV` */
export function existing(face: Face, name: string): Bdev {
  const found = face.bdevs.find(name);
  if (found === undefined) throw errno('ENODEV');
  return found;
}

async function appears(face: Face, name: string, timeoutMs: number): Promise<Bdev> {
  const stop = new AbortController();
  const late = sleep(Math.min(timeoutMs, 0x7fff_ffff), true, { signal: stop.signal });
  try {
    for (;;) {
      const found = face.bdevs.find(name);
      if (found !== undefined) return found;
      const over = await Promise.race([face.bdevs.added(), late]);
      if (over === true) throw errno('ENODEV');
    }
  } finally {
    stop.abort();
    late.catch(() => undefined); // ended because it is no longer waited for
  }
}
