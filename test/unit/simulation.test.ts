import { describe, expect, it } from 'vitest';
import type { SimConnection } from '../../drivers/sim/world.ts';
import { runSeed } from '../sim/simulation.ts';

/** Answers that the port is unbound and leaves it where it is, as often as told. */
function forgetsUnbind(times: number): (ports: SimConnection) => SimConnection {
  let left = times;
  return (ports) => ({
    ...ports,
    network: {
      ...ports.network,
      async unbind(portId, signal) {
        left -= 1;
        if (left < 0) await ports.network.unbind(portId, signal);
      },
    },
  });
}

describe('the simulation', () => {
  it.each(Array.from({ length: 10 }, (_, index) => index + 1))('finds no broken rule with seed %i', async (seed) => {
    const { failures } = await runSeed({ seed });
    expect(failures).toEqual([]);
  });

  it.each(Array.from({ length: 5 }, (_, index) => index + 1))(
    'finds no broken rule on a node of machines with seed %i',
    async (seed) => {
      const { failures } = await runSeed({ seed, nodeType: 'VM' });
      expect(failures).toEqual([]);
    },
  );

  it('replays a seed to the same trace', async () => {
    const [first, second] = [await runSeed({ seed: 11 }), await runSeed({ seed: 11 })];
    expect(second.hash).toBe(first.hash);
    expect(second.lines).toEqual(first.lines);
    expect((await runSeed({ seed: 12 })).hash).not.toBe(first.hash);
  });

  it('finds a port that a switch keeps against what it answers', async () => {
    const found: string[] = [];
    for (let seed = 1; seed <= 10; seed += 1) {
      found.push(...(await runSeed({ seed, distort: forgetsUnbind(1) })).failures);
    }
    expect(found.join('\n')).toMatch(/port-without-function|port-without-row/);
  });
});
