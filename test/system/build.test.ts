/** What ships, as it is started: the built daemon and the built dpuctl, on simulated hardware. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { daemonNodeFlags } from '../../tools/daemon-flags.ts';
import { ROOT } from '../architecture/project-files.ts';

const run = promisify(execFile);

/** Beneath the repository, as the build finds the npm packages there. */
const cache = join(ROOT, '.cache');
mkdirSync(cache, { recursive: true });
const dist = mkdtempSync(join(cache, 'build-'));
const state = mkdtempSync(join(tmpdir(), 'build-test-'));
const config = join(state, 'soc-daemon.yaml');
const socket = join(state, 'rest.sock');

/** Refuses TypeScript: a build that leads to a source does not start. */
const plain = '--no-strip-types';

const dpuctl = async (...args: readonly string[]): Promise<string> => {
  const program = [plain, join(dist, 'soc-daemon/cli/main.js'), ...args, '--socket', socket];
  return (await run(process.execPath, program, { timeout: 30_000 })).stdout;
};

describe('the build', () => {
  let daemon: ChildProcess;
  let log = '';

  beforeAll(async () => {
    await run(process.execPath, [join(ROOT, 'tools/build.ts'), dist], { timeout: 60_000 });
    writeFileSync(
      config,
      JSON.stringify({
        profile: 'sim',
        node: { hostname: 'built' },
        state_dir: state,
        rest: { socket },
        catalogue: {
          flavors: { small: { vcpus: 1, memory_mib: 1024 } },
          subnets: { net1: { cidr: '10.0.0.0/24' } },
        },
        sim: { images: { demo: { size_bytes: 1_073_741_824 } } },
      }),
    );
    const program = join(dist, 'soc-daemon/main.js');
    daemon = spawn(process.execPath, [plain, ...daemonNodeFlags, program, '--config', config], {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await new Promise<void>((resolve, reject) => {
      daemon.once('exit', () => reject(new Error(`the daemon ended: ${log}`)));
      daemon.stderr?.on('data', (text) => {
        log += String(text);
        if (log.includes('REST interface listens')) resolve();
      });
    });
  }, 120_000);

  afterAll(() => {
    daemon?.kill('SIGKILL');
    for (const dir of [dist, state]) rmSync(dir, { recursive: true, force: true });
  });

  it('has programs and schemas, no tests and no tools', () => {
    expect(existsSync(join(dist, 'schemas/rpc.json'))).toBe(true);
    expect(readdirSync(dist)).not.toContain('test');
    expect(readdirSync(dist)).not.toContain('tools');
    expect(existsSync(join(dist, 'packages/oslo-messaging/test'))).toBe(false);
  });

  it('builds an instance and stops in good order', async () => {
    const request = ['--name', 'first', '--flavor', 'small', '--image', 'demo', '--network', 'subnet=net1'];
    await dpuctl('instance', 'build', ...request);
    expect(JSON.parse(await dpuctl('instance', 'list', '-o', 'json'))).toMatchObject([
      { name: 'first', state: 'active' },
    ]);
    const ended = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
