/** The daemon as a unit of Type=notify runs it: what systemd hears of it, and where its secrets come from. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../soc-daemon/main.ts', import.meta.url));
const patient = { timeout: 20_000, interval: 20 };

/** What systemd has at the other end of NOTIFY_SOCKET; Node has no datagram sockets of this kind. */
const manager = `
import json, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print(json.dumps('listening'), flush=True)
while True:
    print(json.dumps(listener.recv(65536).decode()), flush=True)
`;

function haveTools(): boolean {
  const there = spawnSync('systemd-notify', ['--version'], { stdio: 'ignore' }).status === 0;
  if (!there && process.env.CI) throw new Error('the test of the daemon as a service needs the Debian package systemd');
  if (!there) process.stderr.write('test of the daemon as a service skipped: the Debian package systemd is missing\n');
  return there;
}

describe.skipIf(!haveTools())('the daemon as a service', () => {
  let folder: string;
  const children: ChildProcess[] = [];
  let heard: string[] = [];

  function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    const child = spawn(command, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    return child;
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'service-'));
    heard = [];
    const { stdout } = start('/usr/bin/python3', ['-c', manager, join(folder, 'notify')], {});
    if (!stdout) throw new Error('no output');
    createInterface({ input: stdout }).on('line', (line) => heard.push(...String(JSON.parse(line)).split('\n')));
    await expect.poll(() => heard, patient).toEqual(['listening']);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  /** The daemon with what the unit gives it. */
  function startDaemon(): { child: ChildProcess; log(): string } {
    const config = join(folder, 'soc-daemon.yaml');
    writeFileSync(config, 'profile: sim\nnode: { hostname: service-1 }\nstate_dir: state\namqp: {}\n');
    const credentials = join(folder, 'credentials');
    mkdirSync(credentials);
    // Nobody listens there: a broker that is away keeps no node from coming up.
    writeFileSync(join(credentials, 'transport-url'), 'rabbit://u:hunter2@127.0.0.1:1/\n', { mode: 0o440 });
    writeFileSync(join(credentials, 'store-key'), `${'5a'.repeat(32)}\n`, { mode: 0o440 });
    const child = start(process.execPath, [main, '--config', config], {
      NOTIFY_SOCKET: join(folder, 'notify'),
      WATCHDOG_USEC: '1000000',
      CREDENTIALS_DIRECTORY: credentials,
    });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.stdout?.resume();
    return { child, log: () => said };
  }

  function status(path: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      request({ socketPath: join(folder, 'state/rest.sock'), path }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  }

  it('says when it is ready, shows signs of life, and says that it stops', async () => {
    const { child, log } = startDaemon();
    await expect.poll(() => heard, patient).toContain('READY=1');
    expect(await status('/readyz')).toBe(200);
    expect(heard).not.toContain('STOPPING=1');
    await expect.poll(() => heard, patient).toContain('WATCHDOG=1');
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    await expect.poll(() => heard, patient).toContain('STOPPING=1');
    expect(heard.indexOf('STOPPING=1')).toBeGreaterThan(heard.indexOf('READY=1'));
    expect(new Set(heard.filter((each) => each.startsWith('MAINPID=')))).toEqual(new Set([`MAINPID=${child.pid}`]));
    expect(log()).toContain('broker is away');
    expect(log()).not.toContain('hunter2');
    expect(existsSync(join(folder, 'state/store.key')), 'the credential is the key').toBe(false);
  });

  it('never says that it is ready when it could not start', async () => {
    mkdirSync(join(folder, 'state'));
    writeFileSync(
      join(folder, 'state/soc-daemon.db'),
      'this is no database, and long enough to be looked at'.repeat(100),
    );
    const { child, log } = startDaemon();
    expect(await once(child, 'exit')).toEqual([1, null]);
    expect(log()).toContain('soc-daemon');
    expect(heard).toEqual(['listening']);
  });
});
