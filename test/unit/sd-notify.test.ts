/** What systemd hears, through the real systemd-notify and a real datagram socket. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log } from '../../core/ports/log.ts';
import { silentLog } from '../../core/ports/log.ts';
import { createNotifier } from '../../kit/sd-notify.ts';
import { virtualClock } from '../support/virtual-clock.ts';

const listener = `
import json, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print(json.dumps('listening'), flush=True)
while True:
    print(json.dumps(listener.recv(65536).decode()), flush=True)
`;

describe('sd_notify', () => {
  const heard: string[] = [];
  let folder: string;
  let socket: string;
  let child: ChildProcess;

  beforeEach(async () => {
    heard.length = 0;
    folder = mkdtempSync(join(tmpdir(), 'notify-'));
    socket = join(folder, 'notify');
    child = spawn('/usr/bin/python3', ['-c', listener, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (!child.stdout) throw new Error('no stdout');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const text = String(JSON.parse(line));
      // MAINPID is what --pid adds; BARRIER is how the tool waits until it was read.
      heard.push(...text.split('\n').filter((each) => each !== '' && !each.startsWith('BARRIER')));
    });
    await expect.poll(() => heard).toEqual(['listening']);
    heard.length = 0;
  });
  afterEach(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  const states = (): string[] => heard.filter((each) => !each.startsWith('MAINPID='));
  const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
    PATH: process.env.PATH,
    NOTIFY_SOCKET: socket,
    ...more,
  });

  it('says in order that the service is up, how it is, and that it goes down', async () => {
    const notifier = createNotifier(silentLog, { env: environment() });
    notifier.ready();
    notifier.status('two\nlines');
    notifier.stopping();
    await expect.poll(states, { timeout: 10_000 }).toEqual(['READY=1', 'STATUS=two lines', 'STOPPING=1']);
    expect(new Set(heard.filter((each) => each.startsWith('MAINPID=')))).toEqual(new Set([`MAINPID=${process.pid}`]));
  });

  it('shows a sign of life at half of the time that systemd gives, until it stops', async () => {
    const clock = virtualClock();
    const env = environment({ WATCHDOG_USEC: '800000', WATCHDOG_PID: String(process.pid) });
    const notifier = createNotifier(silentLog, { env, clock });
    notifier.ready();
    await clock.advance(399);
    await expect.poll(states, { timeout: 10_000 }).toEqual(['READY=1']);
    await clock.advance(1);
    await expect.poll(states, { timeout: 10_000 }).toEqual(['READY=1', 'WATCHDOG=1']);
    await expect.poll(() => clock.pending, { timeout: 10_000 }).toBe(1);
    await clock.advance(400);
    await expect.poll(states, { timeout: 10_000 }).toEqual(['READY=1', 'WATCHDOG=1', 'WATCHDOG=1']);
    notifier.stopping();
    await expect.poll(() => states().at(-1), { timeout: 10_000 }).toBe('STOPPING=1');
    expect(clock.pending).toBe(0);
  });

  it.each([{ WATCHDOG_USEC: '1000000', WATCHDOG_PID: '1' }, { WATCHDOG_USEC: 'soon' }, {}])(
    'shows none where none is wanted of it: %o',
    async (more) => {
      const clock = virtualClock();
      createNotifier(silentLog, { env: environment(more), clock }).ready();
      expect(clock.pending).toBe(0);
      await expect.poll(states, { timeout: 10_000 }).toEqual(['READY=1']);
    },
  );

  it('starts nothing outside of systemd, and says once that systemd can not be told', async () => {
    const warnings: string[] = [];
    const log: Log = { ...silentLog, warn: (message) => warnings.push(message) };
    const clock = virtualClock();
    createNotifier(log, { env: { WATCHDOG_USEC: '1000000' }, clock }).ready();
    expect(clock.pending).toBe(0);
    const notifier = createNotifier(log, { env: environment({ PATH: folder }), clock });
    notifier.ready();
    notifier.status('fine');
    await expect.poll(() => warnings.length, { timeout: 10_000 }).toBe(1);
    notifier.stopping();
    expect(heard).toEqual([]);
  });
});
