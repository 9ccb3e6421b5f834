import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, it } from 'vitest';
import { checkWorld } from '../../drivers/sim/invariants.ts';
import { sqliteWorldStore } from '../../drivers/sim/sqlite-world-store.ts';
import { createSimWorld } from '../../drivers/sim/world.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';

const directory = mkdtempSync(join(tmpdir(), 'sim-kill-'));
afterEach(() => {
  rmSync(directory, { recursive: true });
});

it('a world in a file has all that was answered before its process was killed, and nothing in part', async () => {
  const file = join(directory, 'world.db');
  const child = new URL('../support/sim-world-child.ts', import.meta.url).pathname;
  let answered = 0;
  for (const killAfter of [1, 10, 37]) {
    const process_ = spawn(process.execPath, [child, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(process_, 'exit');
    let seen = 0;
    for await (const id of createInterface({ input: process_.stdout })) {
      if (id !== '') seen += 1;
      if (seen === killAfter) process_.kill('SIGKILL');
    }
    expect((await exited)[1]).toBe('SIGKILL');
    answered += seen;
    const world = createSimWorld({
      clock: systemClock,
      random: systemRandom,
      store: sqliteWorldStore(file),
      options: { functions: 100_000 },
    });
    const { functions, slots } = world.state;
    expect(functions.size).toBeGreaterThanOrEqual(answered);
    answered = functions.size;
    expect(
      slots
        .rows()
        .map((row) => row.id)
        .sort(),
    ).toEqual(functions.rows().map((row) => row.id));
    expect(checkWorld(world)).toEqual([]);
    world.close();
  }
});
