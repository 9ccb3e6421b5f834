import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** A peer of a test, with its monitors. */
export interface Peer {
  readonly dir: string;
  /** The sockets of its monitors. */
  readonly monitors: readonly [string, string];
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly ended: Promise<unknown>;
  /** Kills it and removes its folder. May be called twice. */
  stop(): Promise<void>;
}

/** Whether a program is installed. Without it the tests are skipped with a notice, and fail where CI is set. */
export function havePeer(program: 'qemu-system-x86_64' | 'qemu-storage-daemon'): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch (error) {
    if (process.env.CI) throw new Error(`${program} does not run, and CI must not skip its tests`, { cause: error });
    process.stderr.write(`\n*** NOT TESTED against ${program}: it is not installed ***\n\n`);
    return false;
  }
}

/** Starts a QEMU without a machine, or with an empty q35 that has two root ports and stands still. */
export function startQemu(machine: 'none' | 'q35', at?: string): Promise<Peer> {
  const port = (n: number) => ['-device', `pcie-root-port,id=rp${n},bus=pcie.0,chassis=${n},slot=${n}`];
  const q35 = ['-M', 'q35', '-accel', 'tcg', '-m', '64', '-S', '-no-shutdown', ...port(1), ...port(2)];
  return start(
    (monitors) => [
      'qemu-system-x86_64',
      ...(machine === 'none' ? ['-M', 'none'] : q35),
      ...['-nodefaults', '-display', 'none'],
      ...monitors.flatMap((each) => ['-qmp', `unix:${each},server=on,wait=off`]),
    ],
    at,
  );
}

/** Starts a qemu-storage-daemon. */
export function startStorageDaemon(): Promise<Peer> {
  return start((monitors) => [
    'qemu-storage-daemon',
    ...monitors.flatMap((each, n) => ['--chardev', `socket,id=m${n},path=${each},server=on,wait=off`]),
    ...monitors.flatMap((_each, n) => ['--monitor', `chardev=m${n}`]),
  ]);
}

async function start(command: (monitors: readonly [string, string]) => readonly string[], at?: string): Promise<Peer> {
  const dir = at ?? (await mkdtemp(path.join(tmpdir(), 'qmp-')));
  const monitors = [path.join(dir, 'a.sock'), path.join(dir, 'b.sock')] as const;
  const [program = '', ...args] = command(monitors);
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = once(child, 'exit');
  const peer = {
    dir,
    monitors,
    pid: child.pid ?? 0,
    ended,
    async stop() {
      kill();
      await ended;
      process.off('exit', kill);
      if (at === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
  // the second monitor last: a connection to it that is closed at once disturbs nobody
  while (!(await listens(monitors[1]))) {
    if (hasEnded(child)) throw new Error(`${program} ended: ${stderr}`);
    await pause(10);
  }
  return peer;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function listens(file: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(file);
  socket.once('connect', () => {
    socket.destroy();
    resolve(true);
  });
  socket.once('error', () => resolve(false));
  return promise;
}
