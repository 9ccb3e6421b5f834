import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { quantile, type Row, spread } from './report.ts';
import { onOneCore, type Running, type Scene, startDaemon } from './scene.ts';

/**
 * From the start of the process to ready, connected to the broker. First starts (no state yet) and restarts take turns
 * with the peer, an empty Node. `dropCaches` empties the kernel's page cache before each cold start, for the whole machine.
 */
export async function measureStartUp(scene: Scene, times: number, dropCaches: boolean): Promise<readonly Row[]> {
  const first: Running[] = [];
  const again: Running[] = [];
  const cold: Running[] = [];
  const bare: number[] = [];
  for (let turn = 0; turn < times; turn += 1) {
    for (const found of [first, again]) {
      const daemon = await startDaemon(scene, `start-${turn}`);
      found.push(daemon);
      await daemon.stop();
    }
    bare.push(emptyNode());
    if (!dropCaches) continue;
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    const daemon = await startDaemon(scene, `start-${turn}`);
    cold.push(daemon);
    await daemon.stop();
  }
  const peer = `\`node -e 0\`: ${spread(bare, 'ms')}`;
  const row = (what: string, values: readonly Running[], beside: string): Row => ({
    what,
    measured: `${spread(
      values.map(({ readyMs }) => readyMs),
      'ms',
    )}; CPU ${spread(
      values.map(({ readyCpuMs }) => readyCpuMs),
      'ms',
    )}`,
    target: '500 ms',
    peer: beside,
    numbers: numbersOf(values, bare),
  });
  return [
    row('Start to ready, first start', first, peer),
    row('Start to ready, restart', again, 'nova-compute, fake driver: 7 to 8.5 s (known figure, not measured here)'),
    ...(dropCaches ? [row('Start to ready, restart, empty page cache', cold, '')] : []),
  ];
}

/** On a machine with other work the CPU time says more than the time that passed: on an idle core they are nearly the same. */
function numbersOf(values: readonly Running[], bare: readonly number[]): Readonly<Record<string, number>> {
  const readyMs = quantile(
    values.map((each) => each.readyMs),
    0.5,
  );
  const readyCpuMs = quantile(
    values.map((each) => each.readyCpuMs),
    0.5,
  );
  return { readyMs, readyCpuMs, ratioToNode: readyMs / quantile(bare, 0.5) };
}

function emptyNode(): number {
  const [command, args] = onOneCore(process.execPath, ['-e', '0']);
  const begun = performance.now();
  spawnSync(command, args, { stdio: 'ignore' });
  return performance.now() - begun;
}
