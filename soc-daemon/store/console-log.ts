import { createWriteStream, existsSync, mkdirSync, readdirSync, rmSync, statSync, type WriteStream } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConsoleLog } from '../../core/ports/host-console.ts';
import type { Log } from '../../core/ports/log.ts';

const halfBytes = 524_288;

/**
 * The last megabyte of a console, in two files of half of it each: the newer one grows, then takes the older one's place. What a crash cuts off
 * is at most what was still to be written. May hold what a tenant typed, so nobody else may read it.
 */
export function createConsoleLog(directory: string, id: string, log: Log): ConsoleLog {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const newer = join(directory, `${id}.log`);
  const older = join(directory, `${id}.log.1`);
  let size = sizeOf(newer);
  let out: WriteStream | null = null;
  let turning = Promise.resolve();

  function open(): WriteStream {
    const stream = createWriteStream(newer, { flags: 'a', mode: 0o600 });
    stream.on('error', (error) => log.warn('the console log cannot be written', { error }));
    return stream;
  }

  async function close(): Promise<void> {
    const stream = out;
    out = null;
    if (stream === null || stream.destroyed) return;
    await new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.end();
    });
  }

  function turn(): void {
    size = 0;
    turning = turning
      .then(close)
      .then(() => rename(newer, older))
      .catch(() => {});
  }

  return {
    append(bytes) {
      size += bytes.length;
      const copy = Buffer.from(bytes);
      turning = turning.then(() => {
        out ??= open();
        out.write(copy);
      });
      if (size >= halfBytes) turn();
    },
    async read(bytes) {
      turning = turning.then(close);
      await turning;
      const parts = await Promise.all([older, newer].map((file) => readFile(file).catch(() => Buffer.alloc(0))));
      const all = Buffer.concat(parts);
      return all.subarray(Math.max(0, all.length - bytes));
    },
    async close() {
      turning = turning.then(close);
      await turning;
    },
    async remove() {
      turning = turning.then(close);
      await turning;
      size = 0;
      await Promise.all([older, newer].map((file) => rm(file, { force: true })));
    },
  };
}

/** Erases the logs of instances that are not there any more: a daemon that is killed leaves them. */
export function eraseConsoleLogs(directory: string, isThere: (id: string) => boolean): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    const id = /^(.+)\.log(\.1)?$/.exec(name)?.[1];
    if (id !== undefined && !isThere(id)) rmSync(join(directory, name), { force: true });
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    return 0; // not there yet
  }
}
