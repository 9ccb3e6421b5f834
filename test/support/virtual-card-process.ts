import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { DpuError, type ErrorCode } from '../../core/errors.ts';
import type { Backend } from '../../snic-controller/backends/backend.ts';
import type { VirtualBackendOptions } from '../../snic-controller/backends/virtual/options.ts';

type Method = 'reserve' | 'make' | 'plug' | 'unplug' | 'destroy' | 'list';
type Answer = { readonly call: number; readonly value?: unknown; readonly code?: ErrorCode; readonly message?: string };

/** What a call rejects with when its process was killed. */
export class CrashedError extends Error {}

/** The virtual backend in a process that may be killed at any time; the next call starts another. */
export interface VirtualCardProcess {
  /** @throws CrashedError, DpuError */
  call<M extends Method>(method: M, ...args: Parameters<Backend[M]>): Promise<Awaited<ReturnType<Backend[M]>>>;
  /** SIGKILL. */
  crash(): void;
  close(): Promise<void>;
}

/** Makes one; nothing is started yet. */
export function virtualCardProcess(options: Omit<VirtualBackendOptions, 'clock' | 'log'>): VirtualCardProcess {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let child: ChildProcessByStdio<Writable, Readable, null> | null = null;
  let calls = 0;

  const start = (): ChildProcessByStdio<Writable, Readable, null> => {
    const program = join(import.meta.dirname, 'virtual-card-child.ts');
    const made = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
    made.stdin.on('error', () => {}); // it was killed: `exit` follows
    const mine = new Set<number>();
    createInterface({ input: made.stdout }).on('line', (line) => {
      const { call, code, message, value } = JSON.parse(line) as Answer;
      if (code) waiting.get(call)?.reject(new DpuError(code, message ?? ''));
      else waiting.get(call)?.resolve(value);
      waiting.delete(call);
    });
    made.once('close', () => {
      if (child === made) child = null;
      for (const call of mine) {
        waiting.get(call)?.reject(new CrashedError());
        waiting.delete(call);
      }
    });
    owned.set(made, mine);
    return made;
  };
  const owned = new WeakMap<object, Set<number>>();

  return {
    call: async (method, ...args) => {
      child ??= start();
      calls += 1;
      const answer = Promise.withResolvers<unknown>();
      waiting.set(calls, answer);
      owned.get(child)?.add(calls);
      child.stdin.write(`${JSON.stringify({ call: calls, method, args })}\n`);
      return (await answer.promise) as never;
    },
    crash: () => {
      child?.kill('SIGKILL');
      child = null;
    },
    close: async () => {
      const last = child;
      if (!last) return;
      const gone = once(last, 'exit');
      last.kill('SIGKILL');
      await gone;
    },
  };
}
