import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { quantile, type Row, spread } from './report.ts';
import { onOneCore, type Scene, startDaemon } from './scene.ts';

/**
 * From the start of the process to ready, connected to the broker. First starts (no state yet) and restarts take turns
 * with the peer, an empty Node. `dropCaches` empties the kernel's page cache before each cold start, for the whole machine.
 */
export async function measureStartUp(scene: Scene, times: number, dropCaches: boolean): Promise<readonly Row[]> {
  const first: number[] = [];
  const again: number[] = [];
  const cold: number[] = [];
  const bare: number[] = [];
  for (let turn = 0; turn < times; turn += 1) {
    for (const found of [first, again]) {
      const daemon = await startDaemon(scene, `start-${turn}`);
      found.push(daemon.readyMs);
      await daemon.stop();
    }
    bare.push(emptyNode());
    if (!dropCaches) continue;
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    const daemon = await startDaemon(scene, `start-${turn}`);
    cold.push(daemon.readyMs);
    await daemon.stop();
  }
  const peer = `\`node -e 0\`: ${spread(bare, 'ms')}`;
  const row = (what: string, values: readonly number[], beside: string): Row => ({
    what,
    measured: spread(values, 'ms'),
    target: '500 ms',
    peer: beside,
    numbers: { medianMs: median(values), ratioToNode: median(values) / median(bare) },
  });
  return [
    row('Start to ready, first start', first, peer),
    row('Start to ready, restart', again, 'nova-compute, fake driver: 7 to 8.5 s (known figure, not measured here)'),
    ...(dropCaches ? [row('Start to ready, restart, empty page cache', cold, '')] : []),
  ];
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

function emptyNode(): number {
  const [command, args] = onOneCore(process.execPath, ['-e', '0']);
  const begun = performance.now();
  spawnSync(command, args, { stdio: 'ignore' });
  return performance.now() - begun;
}
