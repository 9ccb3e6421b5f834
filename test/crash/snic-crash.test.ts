/**
 * snic-controller, killed with SIGKILL before and after every write and every effect of create, change, unplug, plug and delete; then killed
 * again while it finishes that; then asked the same again. What is answered and what is left is as if nobody had killed it.
 * `CRASH_ALL=1` runs every kill, else a slice that `CRASH_SEED` chooses (a number; 1 unless told).
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Json } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import { createRpcClient } from '../../kit/json-rpc/client.ts';
import type { FunctionAnswer, FunctionsAnswer } from '../../schemas/generated/snic-rpc.ts';
import { openSimCard } from '../../snic-controller/backends/sim/card.ts';
import { seededRandom } from '../support/seeded-random.ts';

const script = new URL('./snic-child.ts', import.meta.url).pathname;

interface Life {
  call(method: string, params: Json): Promise<unknown>;
  readonly dead: Promise<unknown>;
  end(): Promise<void>;
}

/** Starts a life; null when it was killed before it listened. */
async function live(dir: string, point: number): Promise<Life | null> {
  const child: ChildProcess = spawn(process.execPath, [script, dir, String(point)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const dead = once(child, 'exit');
  const listening = await Promise.race([
    once(child.stdout ?? child, 'data').then(() => true),
    dead.then(([code, signal]) => {
      if (signal === 'SIGKILL') return false;
      throw new Error(`the program ended with ${code} ${signal}`);
    }),
  ]);
  if (!listening) return null;
  const client = createRpcClient({
    path: join(dir, 'snic.sock'),
    peer: 'snic-controller',
    clock: systemClock,
    timeoutMs: 20_000,
  });
  return {
    call: (method, params) => client.call(method, params),
    dead,
    end: async () => {
      client.close();
      child.kill('SIGKILL');
      await dead;
    },
  };
}

interface Scenario {
  readonly name: string;
  readonly requests: readonly (readonly [method: string, params: Json])[];
}

const scenarios: readonly Scenario[] = [
  {
    name: 'a network function',
    requests: [
      ['create_pf', { id: 'nic-1', features: ['tso'] }],
      ['set_function', { id: 'nic-1', rate: 1_000_000 }],
      ['unplug_function', { id: 'nic-1' }],
      ['set_function', { id: 'nic-1', mac: '02-00-00-00-00-77' }],
      ['plug_function', { id: 'nic-1' }],
      ['unplug_function', { id: 'nic-1' }],
      ['delete_pf', { id: 'nic-1' }],
    ],
  },
  {
    name: 'a storage function',
    requests: [
      ['create_storage_dev', { id: 'disk-1', class: 'nvme', plug: false }],
      ['plug_function', { id: 'disk-1' }],
      ['unplug_function', { id: 'disk-1' }],
      ['delete_storage_dev', { id: 'disk-1' }],
    ],
  },
];

const foreign = { slot: 0, id: null, type: 'PF', class: 'virtio-blk', mac: null } as const;
const left = { ...foreign, plugged: true, enumerated: true, unplugPending: false };
const all = process.env.CRASH_ALL === '1';
const seed = process.env.CRASH_SEED ?? '1';
const chance = seededRandom(`snic crash ${seed}`);
const slice = 0.25;
const ran = { kills: 0, again: 0, possible: 0 };
afterAll(() => {
  process.stdout.write(
    `snic crash suite: ${ran.kills} kills of ${ran.possible}, ${ran.again} of them killed again while recovering, seed ${seed}\n`,
  );
});

/** A directory with a card on which somebody else has a function already. */
function newCard(): string {
  const dir = mkdtempSync(join(tmpdir(), 'snic-crash-'));
  const card = openSimCard(join(dir, 'card.db'), 'on');
  card.put(left);
  card.close();
  return dir;
}

const momentsOf = (dir: string): string[] => readFileSync(join(dir, 'moments'), 'utf8').trim().split('\n');

function onCard(dir: string): readonly unknown[] {
  const card = openSimCard(join(dir, 'card.db'));
  const functions = card.functions();
  card.close();
  return functions;
}

/** Carries out one kill; answers what was wrong. */
async function killAt(scenario: Scenario, point: number, answers: readonly unknown[]): Promise<readonly string[]> {
  const dir = newCard();
  const wrong: string[] = [];
  let life: Life | null = null;
  try {
    life = await live(dir, point);
    let next = 0;
    for (const [method, params] of scenario.requests) {
      try {
        await life?.call(method, params);
      } catch {
        break;
      }
      next += 1;
    }
    await life?.dead;
    ran.kills += 1;
    life = await live(dir, 1 + (point % 3));
    if (life === null) ran.again += 1;
    else await life.end();
    const last = await live(dir, 0);
    if (last === null) throw new Error('it was killed without being told to');
    life = last;
    const list = async () => ((await last.call('list_functions', {})) as FunctionsAnswer).functions;
    const functions = await list();
    const others = functions.filter((each) => each.foreign).map((each) => each.id);
    if (others.join() !== 'sim-0') wrong.push(`foreign: ${others.join()}`);
    for (const [method, params] of scenario.requests.slice(next)) {
      const answer = await last.call(method, params);
      if (JSON.stringify(answer) !== JSON.stringify(answers[next])) {
        wrong.push(`${method}: ${JSON.stringify(answer)} and not ${JSON.stringify(answers[next])}`);
      }
      next += 1;
    }
    const rest = await list();
    if (rest.length !== 1) wrong.push(`left: ${rest.map((each) => each.id).join()}`);
    if (JSON.stringify(onCard(dir)) !== JSON.stringify([left]))
      wrong.push(`on the card: ${JSON.stringify(onCard(dir))}`);
  } finally {
    await life?.end();
    rmSync(dir, { recursive: true, force: true });
  }
  return wrong;
}

it.each(scenarios)('$name: killed around every write and every effect', { timeout: 600_000 }, async (scenario) => {
  const dir = newCard();
  const life = await live(dir, 0);
  const answers: unknown[] = [];
  for (const [method, params] of scenario.requests) answers.push(await life?.call(method, params));
  await life?.end();
  const moments = momentsOf(dir);
  rmSync(dir, { recursive: true });
  expect((answers[0] as FunctionAnswer).id).toMatch(/-1$/);
  expect(moments.length).toBeGreaterThan(20);
  ran.possible += moments.length;
  const queue = moments.map((_, index) => index + 1).filter(() => all || chance.chance(slice));
  const wrong: string[] = [];
  const work = async (): Promise<void> => {
    for (let point = queue.shift(); point !== undefined; point = queue.shift()) {
      const found = await killAt(scenario, point, answers);
      wrong.push(...found.map((each) => `${point} (${moments[(point ?? 0) - 1]}): ${each}`));
    }
  };
  await Promise.all([work(), work()]);
  expect(wrong).toEqual([]);
});
