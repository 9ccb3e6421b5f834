/**
 * Measures builds on a virtual DPU over REST against the parts beneath them, each run alone: `node test/bench/bm.ts [--rounds N] [--turns N]
 * [--plugs N] [--dist BUILD]`. Builds `dist/` unless told. It needs root and the virtual DPU's programs, and never fails because something is slow.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Operation } from '../../schemas/generated/operation.ts';
import { NODE } from '../../tools/demo/layout.ts';
import { SMALL_IMAGE_BYTES } from '../../virtual-dpu/image/build-image.ts';
import { measurePlugs } from './bm-guest.ts';
import { startNode } from './bm-node.ts';
import { kindOf, openParts, type PartTimes } from './bm-parts.ts';
import { openScripts, type PeerTimes } from './bm-peers.ts';
import { cpuMsOf } from './procfs.ts';
import { quantile, type Row, spread, tableOf } from './report.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '4' },
    turns: { type: 'string', default: '5' },
    plugs: { type: 'string', default: '5' },
    dist: { type: 'string' },
  },
});
const [rounds, turns, plugs] = [values.rounds, values.turns, values.plugs].map(Number) as [number, number, number];
const root = join(import.meta.dirname, '../..');
const dist = resolve(values.dist ?? join(root, 'dist'));
if (values.dist === undefined) {
  execFileSync(process.execPath, [join(root, 'tools/build.ts')], { cwd: root, stdio: 'inherit' });
}

/** One build over REST. */
interface Build {
  readonly wall: number;
  readonly daemonCpu: number;
  readonly snicCpu: number;
  /** Milliseconds of each kind of step, as the operation tells them; the slowest of a kind. */
  readonly kinds: Readonly<Record<string, number>>;
}

const builds: Build[] = [];
const alone: PartTimes[] = [];
const scripts: PeerTimes[] = [];
const loads: number[] = [];

const dir = mkdtempSync(join(tmpdir(), 'bm-'));
const node = await startNode(dir, dist);
try {
  const { dpu, layout } = node;
  const build = async (uuid: string): Promise<Build> => {
    const daemon = cpuMsOf(node.daemonPid());
    const snic = cpuMsOf(node.snicPid);
    const begun = performance.now();
    const request = { uuid, name: 'bench', image: NODE.image, flavor: NODE.flavor };
    const devices = { networks: [{ subnet: NODE.subnet }], volumes: [{ volume_id: NODE.volume }] };
    const answer = await node.rest.ask('POST', '/v1/instances?wait=true', { ...request, ...devices });
    const wall = performance.now() - begun;
    const cpu = { daemonCpu: cpuMsOf(node.daemonPid()) - daemon, snicCpu: cpuMsOf(node.snicPid) - snic };
    const { id } = answer as Operation;
    const operation = (await node.rest.ask('GET', `/v1/operations/${id}`)) as Operation;
    if (operation.state !== 'succeeded') throw new Error(`the build ${operation.state}: ${JSON.stringify(operation)}`);
    const kinds: Record<string, number> = {};
    for (const step of operation.steps) {
      const ms = Date.parse(step.ended_at ?? '') - Date.parse(step.started_at ?? '');
      kinds[kindOf(step.name)] = Math.max(kinds[kindOf(step.name)] ?? 0, ms);
    }
    return { wall, ...cpu, kinds };
  };
  const destroy = (uuid: string): Promise<unknown> => node.rest.ask('DELETE', `/v1/instances/${uuid}?wait=true`);
  const nodeId = await node.startDaemon();
  const script = await openScripts(dpu);
  for (let round = 0; round < rounds; round += 1) {
    if (round > 0) await node.startDaemon();
    for (let turn = -1; turn < turns; turn += 1) {
      const uuid = randomUUID();
      const built = await build(uuid);
      if (turn >= 0) builds.push(built); // the first connects
      await destroy(uuid);
    }
    await node.stopDaemon();
    loads.push(loadavg()[0] ?? 0);
    const parts = await openParts(layout.config, nodeId, SMALL_IMAGE_BYTES);
    try {
      for (let turn = -1; turn < turns; turn += 1) {
        const times = await parts.turn();
        if (turn >= 0) alone.push(times);
      }
    } finally {
      await parts.close();
    }
    for (let turn = 0; turn < turns; turn += 1) scripts.push(await script.turn());
    loads.push(loadavg()[0] ?? 0);
  }
  await script.close();
  await node.startDaemon();
  const uuid = randomUUID();
  await build(uuid);
  const plugged = plugs > 0 ? await measurePlugs(dpu, layout.snicSocket, plugs) : undefined;
  await destroy(uuid);

  const column = <Value>(of: readonly Value[], pick: (value: Value) => number): number[] => of.map(pick);
  const wall = column(builds, (each) => each.wall);
  const chain = column(alone, (each) => each.chain);
  const [whole, beneath] = [quantile(wall, 0.5), quantile(chain, 0.5)];
  const daemonCpu = column(builds, (each) => each.daemonCpu);
  const snicCpu = column(builds, (each) => each.snicCpu);
  const ourCpu = column(builds, (each) => each.daemonCpu + each.snicCpu);
  const part = (kind: string): number[] => column(alone, ({ kinds }) => kinds[kind] ?? Number.NaN);
  const start = column(alone, ({ kinds }) => (kinds['host:boot-device'] ?? 0) + (kinds['host:on'] ?? 0));
  const rows: Row[] = [];
  const add = (what: string, measured: readonly number[], target: string, peer: string): void => {
    rows.push({ what, measured: spread(measured, 'ms'), target, peer, numbers: { ms: quantile(measured, 0.5) } });
  };
  const against = (name: string, theirs: readonly number[], ours: readonly number[]): string =>
    `${name}: ${spread(theirs, 'ms')}, ratio ${(quantile(theirs, 0.5) / quantile(ours, 0.5)).toFixed(1)}`;
  add('Build over REST', wall, '', '');
  add('Longest chain of its parts, each alone', chain, '', '');
  rows.push({
    what: 'The build against that chain',
    measured: `${(whole / beneath).toFixed(2)}; ${(whole - beneath).toFixed(0)} ms more`,
    target: '1.15',
    peer: '',
    numbers: { ratio: whole / beneath, ms: whole - beneath },
  });
  add('CPU per build, daemon and snic-controller', ourCpu, '150 ms', '');
  add('of it the daemon', daemonCpu, '', '');
  add('of it snic-controller', snicCpu, '', '');
  for (const kind of Object.keys(alone[0]?.kinds ?? {})) {
    const inBuild = column(builds, ({ kinds }) => kinds[kind] ?? Number.NaN);
    const theirs =
      kind === 'nic:bind'
        ? against(
            '`ovs-vsctl` script',
            column(scripts, ({ bind }) => bind),
            part(kind),
          )
        : '';
    add(`\`${kind}\` alone`, part(kind), '', theirs || `in the build: ${spread(inBuild, 'ms')}`);
  }
  add(
    'boot device and power on alone',
    start,
    '',
    against(
      '`ipmitool`',
      column(scripts, (each) => each.start),
      start,
    ),
  );
  if (plugged !== undefined) {
    const { answered, seen, bareSeen } = plugged;
    add('`create_pf`, to the answer, guest running', answered, '', '');
    add('`create_pf`, to the guest seeing it', seen, '', against("QMP's `device_add` alone", bareSeen, seen));
  }
  const load = `load average ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
  console.log(`Node ${process.versions.node}, ${load}, ${builds.length} builds\n\n${tableOf(rows)}`);
} finally {
  await node.close();
  rmSync(dir, { recursive: true, force: true });
}
