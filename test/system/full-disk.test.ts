/** The programs on a disk that is really full, or really read-only: a small tmpfs in a mount namespace of their own. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FunctionId } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import type { HealthReport } from '../../schemas/generated/rest.ts';
import { createSnicClient } from '../../snic-controller/client.ts';
import { createClient } from '../../soc-daemon/cli/client.ts';
import { markOf } from '../contract/samples.ts';
import { until } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');

/** Whether we may mount something where nobody else sees it; a line says so where we may not. */
function mayMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    if (process.env.CI) throw new Error('full disks: no mount is allowed here');
    process.stderr.write('full disks: NOT RUN, no mount is allowed here\n');
    return false;
  }
}

describe.skipIf(!mayMount())('on a small disk', () => {
  let dir: string;
  let disk: string;
  let child: ChildProcess | undefined;
  let said = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'full-'));
    disk = join(dir, 'disk');
    await mkdir(disk);
    said = '';
  });
  afterEach(async () => {
    await end();
    await rm(dir, { recursive: true, force: true });
  });

  /** Starts a program of ours with 8 MiB at `disk`, which goes with it. */
  async function start(program: string, config: object, mode = 'rw'): Promise<ChildProcess> {
    const file = join(dir, 'config.yaml');
    await writeFile(file, JSON.stringify(config));
    const script = 'mount -t tmpfs -o size=8m,mode=700 tmpfs "$1" && mount -o remount,$2 "$1" && shift 2 && exec "$@"';
    const argv = [
      '--mount',
      'sh',
      '-c',
      script,
      'sh',
      disk,
      mode,
      process.execPath,
      join(root, program),
      '--config',
      file,
    ];
    child = spawn('unshare', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr?.on('data', (chunk) => {
      said += String(chunk);
    });
    return child;
  }
  async function end(): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }
  /** Runs a program where the disk is. */
  const inside = (...argv: readonly string[]) =>
    promisify(execFile)('nsenter', ['--target', String(child?.pid), '--mount', ...argv]);
  /** Leaves so many KiB. */
  const leave = async (kib: number): Promise<void> => {
    await inside('rm', '-f', `${disk}/filler`);
    const { stdout } = await inside('df', '--output=avail', '--block-size=1K', disk);
    const free = Number(stdout.trim().split('\n').at(-1));
    await inside('fallocate', '-l', `${free - kib}KiB`, `${disk}/filler`);
  };
  /** Takes the last byte, whatever the store took. */
  const fill = () => inside('sh', '-c', `cat /dev/zero > ${disk}/filler 2>/dev/null; true`);

  it('the daemon takes nothing new while it is full, says why, and is ready again', { timeout: 120_000 }, async () => {
    const socket = join(dir, 'rest.sock');
    await start('soc-daemon/main.ts', {
      profile: 'sim',
      node: { hostname: 'small' },
      state_dir: join(disk, 'state'),
      rest: { socket },
      sim: { world_file: join(dir, 'world.db') },
      reconcile: { interval_s: 1 },
      disk: { low_mib: 3, full_mib: 1 },
      clock: { check: 'off' },
      catalogue: { subnets: { net1: { cidr: '10.9.0.0/24' } }, flavors: { small: { vcpus: 1, memory_mib: 64 } } },
    });
    const client = createClient({ socket });
    const health = async () => (await client.ask('GET', '/v1/health')) as HealthReport;
    const state = async () => (await health()).checks.find(({ id }) => id === 'disk');
    await until('it is ready', async () => (await health().catch(() => undefined))?.ready, 60_000);
    const build = (name: string) =>
      client.ask('POST', '/v1/instances?wait=true', {
        name,
        flavor: 'small',
        image: 'demo',
        networks: [{ subnet: 'net1' }],
      });
    const { instance } = (await build('one')) as { instance: string };
    await leave(2500);
    await until('it warns', async () => (await state())?.reason === 'disk-low');
    expect((await health()).ready).toBe(true);
    await leave(900);
    await until('it is not ready', async () => (await state())?.reason === 'disk-full');
    expect((await health()).ready).toBe(false);
    await expect(build('two')).rejects.toThrow(/takes nothing new: 0 MiB are free/);
    await client.ask('DELETE', `/v1/instances/${instance}?wait=true`);
    await inside('rm', `${disk}/filler`);
    await until('it is ready again', async () => (await health()).ready);
  });

  it('that is read-only, the daemon says so and does not start', { timeout: 60_000 }, async () => {
    const config = { profile: 'sim', node: { hostname: 'small' }, state_dir: join(disk, 'state') };
    const [code] = (await once(await start('soc-daemon/main.ts', config, 'ro'), 'exit')) as [number];
    expect(code).toBe(1);
    expect(said).toMatch(/^soc-daemon: making the state directory .* failed: the file system is read-only \(EROFS\)$/m);
  });

  it('snic-controller answers exhausted, and goes on when there is room', { timeout: 60_000 }, async () => {
    const path = join(dir, 'snic.sock');
    await start('snic-controller/main.ts', {
      state_dir: join(disk, 'state'),
      socket: { path },
      backend: { kind: 'sim' },
    });
    await until('it listens', async () => said.includes('snic-controller listens'), 30_000);
    const client = createSnicClient({ path, clock: systemClock });
    const make = (number: number) =>
      client.ensureFunction({
        id: `f-${number}` as FunctionId,
        type: 'PF',
        class: 'virtio-net',
        mac: null,
        features: [],
        mark: markOf('nic', 'x'.repeat(100)),
      });
    try {
      await make(0);
      await fill();
      let refusal: unknown;
      for (let number = 1; number < 16 && refusal === undefined; number += 1) {
        await make(number).catch((error: unknown) => {
          refusal = error;
        });
      }
      expect(refusal).toMatchObject({ code: 'exhausted', message: expect.stringContaining('the disk is full') });
      await inside('rm', `${disk}/filler`);
      expect(await make(15)).toMatchObject({ id: 'f-15', plugged: false });
    } finally {
      client.close();
    }
  });
});
