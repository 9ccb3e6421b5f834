/**
 * Every process of a node is killed at every step of build, hot-plug and destroy (docs/crash-sweep.md). Here a slice of the cells: `SWEEP_SEED=n` takes
 * another, `SWEEP_ALL=1` all of them, `SWEEP_CASE` those that it names.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../support/seeded-random.ts';
import { allCells, type Cell, type CellRun, createSweep, nameOf, sweepTable } from '../support/sweep.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode } from '../support/virtual-node.ts';

const { SWEEP_ALL, SWEEP_SEED = '1', SWEEP_CASE, SWEEP_RESULTS, SWEEP_TABLE, SWEEP_SECONDS } = process.env;
const SLICE = 5;

/** Cells that ended well in earlier runs with the same file: a line of JSON each. */
function earlier(): Map<string, CellRun> {
  if (SWEEP_RESULTS === undefined || !existsSync(SWEEP_RESULTS)) return new Map();
  const lines = readFileSync(SWEEP_RESULTS, 'utf8').trim().split('\n');
  const runs = lines.map((line) => JSON.parse(line) as { readonly name: string; readonly run?: CellRun });
  return new Map(runs.flatMap(({ name, run }) => (run === undefined ? [] : [[name, run] as const])));
}

/** `SWEEP_CASE=attach_volume!disk:plug later@spdk-face` takes one cell; several are parted by commas. */
function chosen(): readonly Cell[] {
  const all = allCells();
  if (SWEEP_CASE !== undefined) return all.filter((cell) => SWEEP_CASE.split(',').includes(nameOf(cell)));
  const random = seededRandom(`sweep ${SWEEP_SEED}`);
  const drawn = all.map((cell) => ({ cell, at: random.unit() })).sort((a, b) => a.at - b.at);
  const order = drawn.map(({ cell }) => cell);
  if (SWEEP_ALL === '1') return SWEEP_SECONDS === undefined ? all : order;
  const kept = order.slice(0, SLICE);
  return all.filter((cell) => kept.includes(cell));
}

describe.runIf(canHaveVirtualNodes('the crash sweep'))('a node whose processes are killed', () => {
  const results = earlier();
  const end = performance.now() + Number(SWEEP_SECONDS ?? Number.POSITIVE_INFINITY) * 1000;
  let node: VirtualNode;
  let sweep: ReturnType<typeof createSweep>;
  let whole = true;

  beforeAll(async () => {
    node = await startVirtualNode();
    sweep = createSweep(node);
  }, 240_000);
  afterAll(async () => {
    if (SWEEP_TABLE !== undefined) writeFileSync(SWEEP_TABLE, `${sweepTable(results)}\n`);
    await node?.close();
  }, 60_000);

  it.for(chosen().map((cell) => ({ name: nameOf(cell), cell })))(
    '$name',
    { timeout: 600_000 },
    async ({ name, cell }, { skip }) => {
      if (results.has(name)) skip('it went well in an earlier run');
      if (performance.now() > end) skip('its time is over');
      if (!whole) {
        await node.close();
        node = await startVirtualNode();
        sweep = createSweep(node);
      }
      whole = false;
      const note = (told: object): void => {
        if (SWEEP_RESULTS !== undefined) appendFileSync(SWEEP_RESULTS, `${JSON.stringify({ name, ...told })}\n`);
      };
      try {
        const run = await sweep.run(cell);
        note({ run });
        results.set(name, run);
        expect(['succeeded', 'undone']).toContain(run.outcome);
      } catch (error) {
        note({ error: String(error) });
        throw error;
      }
      whole = true;
    },
  );
});
