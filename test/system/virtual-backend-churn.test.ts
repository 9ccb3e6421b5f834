import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';
import type { BackendSpec } from '../../snic-controller/backends/backend.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { CrashedError, type VirtualCardProcess, virtualCardProcess } from '../support/virtual-card-process.ts';
import { canHaveVirtualHosts, startVirtualHost, type VirtualHost } from '../support/virtual-host.ts';

const rounds = 50;
const atATime = 4;

/** Sixteen functions of every kind. */
const specs: readonly BackendSpec[] = Array.from({ length: 16 }, (_, index) => {
  const kind = (['virtio-net', 'virtio-blk', 'virtio-net', 'nvme'] as const)[index % 4] ?? 'virtio-net';
  return {
    id: `fn${index}` as FunctionId,
    type: index % 5 === 4 ? 'VF' : 'PF',
    class: kind,
    mac: kind === 'virtio-net' ? (`02:00:00:00:00:${index.toString(16).padStart(2, '0')}` as Mac) : null,
    features: [],
    parent: null,
  };
});

describe.skipIf(!canHaveVirtualHosts('churn of the virtual backend'))('sixteen functions', () => {
  let lab: VirtualHost;
  let card: VirtualCardProcess;
  beforeEach(async () => {
    lab = await startVirtualHost();
    const front = lab.storage.front('nbd');
    card = virtualCardProcess({ qmp: lab.host.qmp.snic, front, netns: lab.netns, reconnectMs: 20 });
  });
  afterEach(async () => {
    await card.close();
    await lab.close();
  });

  it(`are plugged and unplugged ${rounds} times in random order with faults, and nothing is left`, async () => {
    const random = seededRandom('churn');
    const counts = { plugged: 0, unplugged: 0, destroyed: 0, crashed: 0, killed: 0, unserved: 0, refused: 0 };
    const reservations = new Map<FunctionId, JsonObject>();
    const made = new Set<FunctionId>();
    const plugged = new Set<FunctionId>();
    let restarting: Promise<void> | null = null;

    /** Does it again until it is done, as the service does after a crash; faults that pass are mended. */
    const finish = async (spec: BackendSpec, work: () => Promise<unknown>): Promise<void> => {
      for (;;) {
        try {
          await work();
          return;
        } catch (error) {
          if (error instanceof CrashedError) continue;
          if (!(error instanceof DpuError)) throw error;
          if (error.code === 'busy') {
            counts.refused += 1;
            await lab.powerOff();
          } else if (error.code === 'unavailable') {
            if (restarting !== null) await restarting;
            else if (spec.class !== 'virtio-net') await lab.storage.serve(spec.id);
          } else throw error;
        }
      }
    };
    const step = async (spec: BackendSpec): Promise<void> => {
      const taken = [...reservations].flatMap(([id, each]) => (id === spec.id ? [] : [each]));
      const reservation = reservations.get(spec.id) ?? { slot: specs.indexOf(spec) };
      expect(taken).not.toContainEqual(reservation);
      reservations.set(spec.id, reservation);
      if (plugged.has(spec.id)) {
        await finish(spec, () => card.call('unplug', spec, reservation, { deadlineMs: 50, force: false }));
        plugged.delete(spec.id);
        counts.unplugged += 1;
        if (!random.chance(1 / 3)) return;
        await finish(spec, () => card.call('destroy', spec, reservation));
        made.delete(spec.id);
        reservations.delete(spec.id);
        counts.destroyed += 1;
        return;
      }
      if (spec.class !== 'virtio-net' && random.chance(1 / 4)) {
        await lab.storage.unserve(spec.id);
        counts.unserved += 1;
      }
      await finish(spec, async () => {
        await card.call('make', spec, reservation);
        await card.call('plug', spec, reservation);
      });
      made.add(spec.id);
      plugged.add(spec.id);
      counts.plugged += 1;
    };
    const disturb = async (): Promise<void> => {
      const fault = random.int(4);
      await pause(random.int(300));
      if (fault === 0) await lab.powerOn();
      if (fault > 1) {
        card.crash();
        counts.crashed += 1;
      }
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
        restarting = lab.restart();
        await restarting;
        restarting = null;
        plugged.clear();
        counts.killed += 1;
      }
      await agree();
    }
    for (const spec of specs) {
      const reservation = reservations.get(spec.id) ?? { slot: specs.indexOf(spec) };
      await finish(spec, () => card.call('unplug', spec, reservation, { deadlineMs: 50, force: false }));
      await finish(spec, () => card.call('destroy', spec, reservation));
    }
    expect(await card.call('list')).toEqual([]);
    expect(await lab.remains()).toEqual([]);
    process.stdout.write(`churn: ${JSON.stringify(counts)}\n`);
    expect(counts.plugged + counts.unplugged).toBeGreaterThan(0);

    /** What is expected, what the backend shows and what is really there are the same. */
    async function agree(): Promise<void> {
      let list: Awaited<ReturnType<typeof card.call<'list'>>> = [];
      await finish(specs[0] as BackendSpec, async () => {
        list = await card.call('list');
      });
      const visible = specs.filter(({ id, class: kind }) => plugged.has(id) || (made.has(id) && kind === 'virtio-net'));
      expect(list.map(({ id, bdf, plugged: isPlugged }) => `${id} ${bdf} ${isPlugged}`)).toEqual(
        visible.map(({ id }) => {
          const bus = (specs.findIndex((each) => each.id === id) + 1).toString(16).padStart(2, '0');
          return `${id} 0000:${bus}:00.0 ${plugged.has(id)}`;
        }),
      );
      const remains = (await lab.remains()).map((each) => each.split(':')[0] ?? each);
      const there = specs.filter(({ id }) => plugged.has(id));
      const disks = there.filter((each) => each.class !== 'virtio-net').length;
      const nics = there.length - disks;
      const taps = visible.filter((each) => each.class === 'virtio-net').length;
      expect(remains).toHaveLength(there.length + disks + nics * 2 + taps);
    }
  }, 900_000);
});
