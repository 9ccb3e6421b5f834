/** The programs of a stack: each leads a session of its own and is recorded by pid and start time, with its log beside it. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, type ProcessRecord, startTime } from '../demo/processes.ts';

/** What is wrong with a stack; the message ends with the lines of the log that tell. */
export class StackError extends Error {
  override readonly name = 'StackError';
}

/** A program to be started. */
export interface ProgramSpec {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** The programs of one directory: `run/NAME.json` and `log/NAME.log`. */
export interface Programs {
  /** Starts it where it does not run; answers its pid. */
  start(spec: ProgramSpec): number;
  /** Notes a process that somebody else started. */
  adopt(name: string, pid: number): void;
  isRunning(name: string): boolean;
  pid(name: string): number | undefined;
  /** Those that run. */
  running(): Readonly<Record<string, number>>;
  /** SIGTERM to it, and after `ms` SIGKILL to all of its session's processes; ends when it is gone. A stranger is left alone. */
  stop(name: string, ms?: number): Promise<void>;
  /** SIGKILL to it and all that it started. */
  kill(name: string): Promise<void>;
  /** SIGSTOP, SIGCONT, SIGHUP to it and all that it started. */
  signal(name: string, signal: NodeJS.Signals): void;
  /** Asks until the answer is true. @throws StackError when the program ended, or after `ms` */
  ready(name: string, ask: () => Promise<boolean>, ms?: number): Promise<void>;
  logFile(name: string): string;
  /** The lines of its log that tell what went wrong. */
  trouble(name: string): string;
}

/** Debian's programs, whatever the PATH of the caller is; no proxy stands between us and loopback. */
export function programEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const mark = process.env.DPU_COMPUTE_RUN; // tools/marked-processes.mjs
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C.UTF-8',
    no_proxy: '*',
    ...(mark === undefined ? {} : { DPU_COMPUTE_RUN: mark }),
    ...more,
  };
}

/** The programs of a directory, which is made. */
export function openPrograms(dir: string): Programs {
  const runDir = join(dir, 'run');
  const logDir = join(dir, 'log');
  for (const each of [runDir, logDir]) mkdirSync(each, { recursive: true, mode: 0o700 });
  const fileOf = (name: string): string => join(runDir, `${name}.json`);
  const logFile = (name: string): string => join(logDir, `${name}.log`);

  function read(name: string): ProcessRecord | undefined {
    try {
      return JSON.parse(readFileSync(fileOf(name), 'utf8')) as ProcessRecord;
    } catch {
      return undefined; // it was never started, or is stopped
    }
  }
  const isRunning = (name: string): boolean => isAlive(read(name));

  function adopt(name: string, pid: number): void {
    writeFileSync(fileOf(name), JSON.stringify({ pid, started: startTime(pid) ?? 'gone' }), { mode: 0o600 });
  }

  function toAll(pid: number, signal: NodeJS.Signals): void {
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  async function end(name: string, first: NodeJS.Signals, ms: number): Promise<void> {
    const record = read(name);
    if (record !== undefined && startTime(record.pid) === record.started) {
      if (first === 'SIGKILL') toAll(record.pid, 'SIGKILL');
      else process.kill(record.pid, first);
      const begun = performance.now();
      let killed = false;
      while (startTime(record.pid) === record.started) {
        await sleep(20);
        if (killed || performance.now() - begun < ms) continue;
        toAll(record.pid, 'SIGKILL');
        killed = true;
      }
      toAll(record.pid, 'SIGKILL'); // a worker whose parent ended without it
    }
    rmSync(fileOf(name), { force: true });
  }

  return {
    start({ name, argv: [program, ...args], env = {}, cwd }) {
      const before = read(name);
      if (before !== undefined && isAlive(before)) return before.pid;
      const log = openSync(logFile(name), 'a', 0o600);
      const child = spawn(program, args, {
        detached: true,
        stdio: ['ignore', log, log],
        env: programEnvironment(env),
        ...(cwd === undefined ? {} : { cwd }),
      });
      closeSync(log);
      child.on('error', () => undefined); // no pid: said below
      child.unref();
      if (child.pid === undefined) throw new StackError(`${program} can't be started`);
      adopt(name, child.pid);
      return child.pid;
    },
    adopt,
    isRunning,
    pid(name) {
      const record = read(name);
      return isAlive(record) ? record.pid : undefined;
    },
    running() {
      const names = existsSync(runDir) ? readdirSync(runDir) : [];
      const pids = names.flatMap((file) => {
        const record = read(file.replace(/\.json$/, ''));
        return file.endsWith('.json') && isAlive(record) ? [[file.slice(0, -5), record.pid] as const] : [];
      });
      return Object.fromEntries(pids);
    },
    stop: (name, ms = 15_000) => end(name, 'SIGTERM', ms),
    kill: (name) => end(name, 'SIGKILL', 15_000),
    signal(name, signal) {
      const record = read(name);
      if (isAlive(record)) toAll(record.pid, signal);
    },
    async ready(name, ask, ms = 120_000) {
      const begun = performance.now();
      while (!(await ask())) {
        const waited = performance.now() - begun;
        if (!isRunning(name)) throw new StackError(`${name} ended:\n${trouble(logFile(name))}`);
        if (waited > ms)
          throw new StackError(
            `${name} was not ready after ${Math.round(waited / 1000)} s:\n${trouble(logFile(name))}`,
          );
        await sleep(50);
      }
    },
    logFile,
    trouble: (name) => trouble(logFile(name)),
  };
}

/** The last lines of a log, and before them the last that tell of an error where those are further up. */
export function trouble(file: string): string {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  const tells = /\b(ERROR|CRITICAL|FATAL|Traceback|Error:|EMER)\b/;
  const bad = lines.map((line, at) => (tells.test(line) ? at : -1)).filter((at) => at >= 0);
  const from = Math.max(0, Math.min(lines.length - 8, bad.at(-12) ?? lines.length));
  const shown = lines.slice(from).filter((line, at, all) => at > all.length - 40 && line !== '');
  return [`(${file})`, ...shown.map((line) => line.slice(0, 400))].join('\n');
}

/** Whether somebody listens at a port of loopback. */
export function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(2000, () => settle(false));
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
