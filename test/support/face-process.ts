import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { StoragePart } from '../../virtual-dpu/description.ts';
import { makeStateDir } from '../../virtual-dpu/paths.ts';
import { startStorage, stopStorage } from '../../virtual-dpu/storage/part.ts';

/** A face of a test, in a directory of its own. */
export interface TestFace {
  readonly dir: string;
  part: StoragePart;
  /** One request; answers the result. Rejects with the error's text, which begins with its code. */
  call(method: string, params?: object): Promise<unknown>;
  /** Kills the storage daemon, and with it the face, and starts another. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

/** Whether the storage daemon is here. Without it the tests are not run and say so; with CI set that is a failure. */
export function haveStorageDaemon(): boolean {
  try {
    execFileSync('qemu-storage-daemon', ['--version'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch (error) {
    if (process.env.CI)
      throw new Error('qemu-storage-daemon does not run, and CI must not skip its tests', { cause: error });
    process.stderr.write('\n*** NOT TESTED: the SPDK face, since qemu-storage-daemon is not installed ***\n\n');
    return false;
  }
}

/** Starts a face. */
export async function startTestFace(front: 'nbd' | 'vhost-user' = 'nbd'): Promise<TestFace> {
  const dir = await makeStateDir(await mkdtemp(join(tmpdir(), 'face-')));
  const context = { stateDir: dir, front };
  const face: TestFace = {
    dir,
    part: await startStorage(context),
    call: (method, params) => callOnce(face.part.spdk, method, params),
    async crash() {
      const { face: own, storageDaemon } = face.part.pids;
      process.kill(storageDaemon, 'SIGKILL');
      await gone(own);
      face.part = await startStorage(context);
    },
    async stop() {
      await stopStorage(context);
      await rm(dir, { recursive: true, force: true });
    },
  };
  return face;
}

/** Resolves when a process is gone. */
export async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return; // there is none any more
    }
    await pause(10);
  }
}

/** One request on a connection of its own. */
export async function callOnce(path: string, method: string, params?: object): Promise<unknown> {
  const socket = connect(path);
  try {
    const request = { jsonrpc: '2.0', id: 1, method, ...(params && { params }) };
    socket.write(JSON.stringify(request));
    const { result, error } = JSON.parse(await until(socket, (text) => text.endsWith('\n'))) as {
      result?: unknown;
      error?: { code: number; message: string };
    };
    if (error) throw new Error(`${error.code} ${error.message}`);
    return result;
  } finally {
    socket.destroy();
  }
}

/** What a socket says until it is enough, or the end. */
export async function until(socket: Socket, enough: (text: string) => boolean): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (enough(text)) return text;
  }
  return text;
}

/** A `qemu-io` that has a disk open until it is closed. */
export interface DiskClient {
  /** Runs one of qemu-io's commands and answers what it printed. */
  run(command: string): Promise<string>;
  close(): Promise<void>;
}

/** Opens a controller's disk as a host does: it connects again for half a minute. */
export async function openDisk(face: TestFace, controller: string, readOnly = false): Promise<DiskClient> {
  if (face.part.front.kind !== 'nbd') throw new Error('this face has no NBD');
  const options = [
    `driver=nbd,server.type=unix,server.path=${face.part.front.socket}`,
    `export=${controller},reconnect-delay=30`,
  ];
  const child = spawn('qemu-io', ['-t', 'writeback', ...(readOnly ? ['-r'] : []), '--image-opts', options.join(',')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const prompt = 'qemu-io> ';
  let text = '';
  let wake: () => void = () => undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      wake();
    });
  }
  child.once('exit', () => wake());
  const answer = async () => {
    while (!text.endsWith(prompt)) {
      if (ended(child)) throw new Error(`qemu-io ended: ${text}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const said = text.slice(0, -prompt.length);
    text = '';
    return said;
  };
  await answer();
  return {
    async run(command) {
      child.stdin.write(`${command}\n`);
      return await answer();
    },
    async close() {
      const exited = ended(child) ? undefined : once(child, 'exit');
      child.stdin.end('quit\n');
      await exited;
    },
  };
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
