import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { FunctionSpec } from '../../core/ports/snic-controller.ts';
import type { FunctionId, Mac } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { createSnicClient, type SnicClient } from '../../snic-controller/client.ts';
import { markOf } from '../contract/samples.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { canHaveVirtualHosts, startVirtualHost, type VirtualHost } from '../support/virtual-host.ts';
import { startVirtualSnic, type VirtualSnic } from '../support/virtual-snic.ts';

/** A slice; `CHURN_ROUNDS=50` is the whole. */
const rounds = Number(process.env.CHURN_ROUNDS ?? 8);
const atATime = 4;

/** Sixteen functions of every kind. */
const specs: readonly FunctionSpec[] = Array.from({ length: 16 }, (_, index) => {
  const kind = (['virtio-net', 'virtio-blk', 'virtio-net', 'nvme'] as const)[index % 4] ?? 'virtio-net';
  return {
    id: `fn${index}` as FunctionId,
    type: index % 5 === 4 ? 'VF' : 'PF',
    class: kind,
    mac: kind === 'virtio-net' ? (`02:00:00:00:00:${index.toString(16).padStart(2, '0')}` as Mac) : null,
    features: [],
    mark: markOf(kind === 'virtio-net' ? 'nic' : 'disk', String(index)),
  };
});

describe.skipIf(!canHaveVirtualHosts('churn of snic-controller with the virtual backend'))('sixteen functions', () => {
  let lab: VirtualHost;
  let program: VirtualSnic;
  let snic: SnicClient;
  beforeEach(async () => {
    lab = await startVirtualHost();
    program = await startVirtualSnic(lab);
    snic = createSnicClient({ path: program.socket, clock: systemClock });
  });
  afterEach(async () => {
    snic.close();
    await program.kill('SIGKILL');
    await lab.close();
  });

  it(`are plugged and unplugged ${rounds} times in random order with faults, and nothing is left`, async () => {
    const random = seededRandom('churn');
    const counts = { plugged: 0, unplugged: 0, released: 0, crashed: 0, killed: 0, unserved: 0, refused: 0 };
    const made = new Set<FunctionId>();
    const plugged = new Set<FunctionId>();
    const addresses = new Map<FunctionId, string | null>();
    let mending: Promise<void> | null = null;

    /** Does it again until it is done, as the daemon does; faults that pass are mended. */
    const finish = async <Result>(spec: FunctionSpec, work: () => Promise<Result>): Promise<Result> => {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          if (!(error instanceof DpuError)) throw error;
          if (error.code === 'busy') {
            counts.refused += 1;
            await lab.powerOff();
          } else if (error.code === 'unavailable') {
            if (mending !== null) await mending;
            else if (spec.class !== 'virtio-net' && !lab.storage.serves(spec.id)) await lab.storage.serve(spec.id);
            else await pause(20);
          } else throw error;
        }
      }
    };
    const step = async (spec: FunctionSpec): Promise<void> => {
      const { id } = spec;
      if (plugged.has(id)) {
        await finish(spec, () => snic.unplugFunction(id, { deadlineMs: 50 }));
        plugged.delete(id);
        counts.unplugged += 1;
        if (!random.chance(1 / 3)) return;
        await finish(spec, () => snic.releaseFunction(id));
        made.delete(id);
        addresses.delete(id);
        counts.released += 1;
        return;
      }
      if (spec.class !== 'virtio-net' && random.chance(1 / 4)) {
        await lab.storage.unserve(id);
        counts.unserved += 1;
      }
      await finish(spec, () => snic.ensureFunction(spec));
      made.add(id);
      const { bdf } = await finish(spec, () => snic.plugFunction(id));
      expect(addresses.get(id) ?? bdf).toBe(bdf);
      addresses.set(id, bdf);
      plugged.add(id);
      counts.plugged += 1;
    };
    const disturb = async (): Promise<void> => {
      const fault = random.int(4);
      await pause(random.int(300));
      if (fault === 0) await lab.powerOn();
      if (fault < 2) return;
      mending = program.kill('SIGKILL').then(() => program.start());
      await mending;
      mending = null;
      counts.crashed += 1;
    };

    for (let round = 0; round < rounds * 2; round += 1) {
      const order = specs.map((spec) => ({ spec, at: random.unit() })).toSorted((a, b) => a.at - b.at);
      const queue = order.map((each) => each.spec);
      const worker = async (): Promise<void> => {
        for (let next = queue.shift(); next; next = queue.shift()) await step(next);
      };
      await Promise.all([disturb(), ...Array.from({ length: atATime }, worker)]);
      if ((await lab.qmp.execute('query-status')).status !== 'prelaunch') await lab.powerOff();
      if (random.chance(1 / 10)) {
        // the program plugs everything again by itself
        await lab.restart();
        counts.killed += 1;
        const whole = async (): Promise<boolean> => {
          const list = await snic.listFunctions().catch(() => []);
          return list.filter((each) => each.plugged).length === plugged.size;
        };
        while (!(await whole())) await pause(50);
      }
      await agree();
    }
    for (const spec of specs) {
      await finish(spec, () => snic.unplugFunction(spec.id, { deadlineMs: 50 }));
      await finish(spec, () => snic.releaseFunction(spec.id));
    }
    expect(await snic.listFunctions()).toEqual([]);
    expect(await lab.remains()).toEqual([]);
    process.stdout.write(`churn: ${JSON.stringify(counts)}\n`);
    expect(counts.plugged + counts.unplugged).toBeGreaterThan(0);

    /** What is expected, what the backend shows and what is really there are the same. */
    async function agree(): Promise<void> {
      const list = await snic.listFunctions();
      const seen = list.map(({ id, bdf, plugged: isPlugged }) => `${id} ${bdf} ${isPlugged}`);
      const expected = [...made].map((id) => {
        const bdf = plugged.has(id) ? addresses.get(id) : null;
        return `${id} ${bdf} ${plugged.has(id)}`;
      });
      expect(seen.toSorted()).toEqual(expected.toSorted());
      const remains = await lab.remains();
      const there = specs.filter(({ id }) => plugged.has(id));
      const disks = there.filter((each) => each.class !== 'virtio-net').length;
      const nics = there.length - disks;
      const taps = specs.filter((each) => made.has(each.id) && each.class === 'virtio-net').length;
      expect(remains).toHaveLength(there.length + disks + nics * 2 + taps);
    }
  }, 900_000);
});
