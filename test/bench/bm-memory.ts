/**
 * Memory of the daemon over builds and destroys on simulated hardware, one instance at a time through AMQP:
 * `node test/bench/bm-memory.ts [--builds N] [--dist BUILD]`. Read after the first hundred builds and at the end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRabbit } from '../support/rabbitmq.ts';
import { measureOperations } from './operations.ts';
import { tableOf } from './report.ts';
import { makeScene } from './scene.ts';

const { values } = parseArgs({
  options: { builds: { type: 'string', default: '1000' }, dist: { type: 'string' } },
});
/** Operations after which the caches of a node that was just started are full. */
const USED = 200;
const dir = mkdtempSync(join(tmpdir(), 'bench-'));
const broker = await startRabbit({ dir: join(dir, 'broker') });
try {
  const scene = makeScene(dir, broker.url, values.dist);
  const rows = await measureOperations(scene, { used: USED, all: USED + 2 * Number(values.builds), idleMs: 3000 });
  console.log(`Load average at the end: ${loadavg()[0]?.toFixed(1)}\n\n${tableOf(rows)}`);
} finally {
  await broker.stop();
  rmSync(dir, { recursive: true, force: true });
}
