/**
 * Measures the built daemon and prints a table: `npm run bench [-- --quick] [--only start|operations|journal] [--json FILE] [--dist BUILD]
 * [--drop-caches]`.
 * It never fails because something is slow.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRabbit } from '../support/rabbitmq.ts';
import { measureJournalStep } from './journal-step.ts';
import { measureOperations } from './operations.ts';
import { type Row, tableOf } from './report.ts';
import { makeScene, oneCore } from './scene.ts';
import { measureStartUp } from './start-up.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'string' },
    only: { type: 'string' },
    dist: { type: 'string' },
    'drop-caches': { type: 'boolean' },
  },
});
const quick = values.quick ?? false;
const lengths = quick ? { used: 100, all: 300, idleMs: 3000 } : { used: 1000, all: 10_000, idleMs: 60_000 };
const dropCaches = values['drop-caches'] ?? false;

const dir = mkdtempSync(join(tmpdir(), 'bench-'));
const broker = await startRabbit({ dir: join(dir, 'broker') });
const rows: Row[] = [];
try {
  const scene = makeScene(dir, broker.url, values.dist);
  console.log(`Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores,`);
  console.log(`daemon ${oneCore ? 'on one core' : 'on all cores'}, flags ${scene.flags.join(' ')}\n`);
  const wanted = (part: string): boolean => (values.only ?? part) === part;
  if (wanted('start')) rows.push(...(await measureStartUp(scene, quick ? 2 : 10, dropCaches)));
  if (wanted('operations')) rows.push(...(await measureOperations(scene, lengths)));
  if (wanted('journal')) rows.push(...measureJournalStep(scene, quick ? 200 : 4000));
  // The daemon and its platform keep one core busy between them: what is above that is others' work.
  console.log(`Load average at the end: ${loadavg()[0]?.toFixed(1)}\n`);
  console.log(tableOf(rows));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
} finally {
  await broker.stop();
  rmSync(dir, { recursive: true, force: true });
}
