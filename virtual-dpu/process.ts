/** Programs that outlive who started them, found again by pid files. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DpuError } from '../core/errors.ts';
import { logDir, runDir } from './paths.ts';

/** A process as it was started. */
export interface ProcessRecord {
  readonly pid: number;
  /** Its start time in ticks since boot (proc(5), stat field 22): a pid with a new owner is never taken for it. */
  readonly started: string;
}

/** What to start, and for which state directory. */
export interface SpawnOptions {
  readonly stateDir: string;
  /** The process' name: `run/<name>.pid` and `log/<name>.log` are its own. */
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  /** Run it in this network namespace. Its mounts stay, so `/sys/class/net` shows the namespace that `up` was called in. */
  readonly netns?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** `open`: a pipe that never ends, for programs that refuse /dev/null (ipmi_sim). */
  readonly stdin?: 'null' | 'open';
}

/** A process, and whose it is: for who waits for something that it shall do. */
export interface ProcessOwner {
  readonly stateDir: string;
  readonly name: string;
  readonly record: ProcessRecord;
}

/** The environment variable that carries the state directory to every process started here, and to their children. */
export const MARK = 'VIRTUAL_DPU_STATE';

/** The beginning of the names of processes that are no part of the virtual DPU, but run in it. */
export const GUEST_PREFIX = 'in-';

/** How long a process has to end by itself before it is killed. */
const GRACE_MS = 5000;

/** How much of a log an error tells. */
const TAIL_BYTES = 2000;

const run = promisify(execFile);

/** The start time of a living process; undefined when there is none, and for a zombie. */
export function startTime(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined; // the process is gone: that is the answer
  }
}

/** Whether the process lives and still is the one that was started. */
export function isAlive(record: ProcessRecord | undefined): record is ProcessRecord {
  return record !== undefined && startTime(record.pid) === record.started;
}

/** The process of a name that a state directory tells of, dead or alive; undefined when none was started. */
export async function readProcess(stateDir: string, name: string): Promise<ProcessRecord | undefined> {
  try {
    const [pid, started] = (await readFile(pidFile(stateDir, name), 'utf8')).trim().split(' ');
    return started === undefined ? undefined : { pid: Number(pid), started };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The names of all processes that a state directory tells of, dead or alive. */
export async function processNames(stateDir: string): Promise<readonly string[]> {
  try {
    const files = await readdir(runDir(stateDir));
    return files.filter((file) => file.endsWith('.pid')).map((file) => file.slice(0, -'.pid'.length));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The living process of a name; undefined when there is none. */
export async function livingProcess(stateDir: string, name: string): Promise<ProcessRecord | undefined> {
  const record = await readProcess(stateDir, name);
  return isAlive(record) ? record : undefined;
}

/**
 * Starts a program in a session of its own, its output appended to its log, and writes its pid file. It runs when this resolves, which does not
 * mean that it is ready: see `waitForSocket`.
 * @throws DpuError `unavailable` when there is no such program.
 */
export async function spawnDetached(options: SpawnOptions): Promise<ProcessRecord> {
  const [file, ...args] = options.netns === undefined ? options.argv : inNetns(options.netns, options.argv);
  const log = await open(logFile(options.stateDir, options.name), 'a', 0o600);
  const stdin = options.stdin === 'open' ? await openPipe(options.stateDir, options.name) : undefined;
  try {
    const child = spawn(file, args, {
      detached: true,
      stdio: [stdin?.fd ?? 'ignore', log.fd, log.fd],
      cwd: options.cwd ?? options.stateDir,
      env: { ...environment(), ...options.env, [MARK]: options.stateDir },
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw new DpuError('unavailable', `${file} can't be started`, { cause: error });
    }
    child.unref();
    // A process that has ended already is recorded as such: whoever waits for it then sees it dead.
    const record = { pid: child.pid ?? 0, started: startTime(child.pid ?? 0) ?? 'gone' };
    await writePidFile(options.stateDir, options.name, record);
    return record;
  } finally {
    await log.close();
    await stdin?.close();
  }
}

/**
 * Starts a program that does not live, and waits until it is ready either way: what another run began may not be yet.
 * @throws what `spawnDetached` and `ready` throw.
 */
export async function ensureProcess(
  options: SpawnOptions,
  ready: (owner: ProcessOwner) => Promise<void>,
): Promise<ProcessRecord> {
  const { stateDir, name } = options;
  const record = (await livingProcess(stateDir, name)) ?? (await spawnDetached(options));
  await ready({ stateDir, name, record });
  return record;
}

/**
 * Ends a process: the signal, and SIGKILL when it lives on after `graceMs`; resolves when it is gone. A dead one, and a pid with
 * a new owner, is fine.
 * @throws DpuError `timeout` when even SIGKILL does not end it.
 */
export async function endProcess(
  record: ProcessRecord | undefined,
  options: { readonly signal?: NodeJS.Signals; readonly graceMs?: number } = {},
): Promise<void> {
  if (record === undefined) return;
  send(record, options.signal ?? 'SIGTERM');
  if (await gone(record, options.graceMs ?? GRACE_MS)) return;
  send(record, 'SIGKILL');
  if (!(await gone(record, GRACE_MS))) throw new DpuError('timeout', `process ${record.pid} does not end`);
}

/** Ends the process of a name, if it lives, and removes its pid file. */
export async function endNamed(
  stateDir: string,
  name: string,
  options: { readonly signal?: NodeJS.Signals; readonly graceMs?: number } = {},
): Promise<void> {
  await endProcess(await readProcess(stateDir, name), options);
  await rm(pidFile(stateDir, name), { force: true });
  await rm(pipeFile(stateDir, name), { force: true });
}

/** Waits until somebody accepts connections at a unix socket. @throws DpuError `timeout`; `unavailable` when `owner` died, with the end of its log. */
export async function waitForSocket(
  path: string,
  options: {
    readonly deadlineMs?: number;
    /** Who should open it: when it is dead there is nothing to wait for. */
    readonly owner?: ProcessOwner;
  } = {},
): Promise<void> {
  await waitFor(() => accepts(path), { what: `a listener at ${path}`, ...options });
}

/** Waits until `check` says yes, looking often. @throws as `waitForSocket`. */
export async function waitFor(
  check: () => Promise<boolean>,
  options: {
    readonly what: string;
    readonly deadlineMs?: number;
    readonly owner?: ProcessOwner;
  },
): Promise<void> {
  const { owner } = options;
  const deadline = performance.now() + (options.deadlineMs ?? 20_000);
  while (!(await check())) {
    if (owner && !isAlive(owner.record)) {
      const tail = await logTail(owner.stateDir, owner.name);
      throw new DpuError('unavailable', `${owner.name} ended at once${tail === '' ? '' : `; it said: ${tail}`}`);
    }
    if (performance.now() > deadline) throw new DpuError('timeout', `no sign of ${options.what}`);
    await sleep(10);
  }
}

/** Whether somebody accepts connections at a unix socket. */
export async function accepts(path: string): Promise<boolean> {
  if (!existsSync(path)) return false;
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // refused, or gone: nobody listens
  } finally {
    socket.destroy();
  }
}

/** Runs a tool to its end and answers what it printed. @throws DpuError `unavailable` (no such tool), `timeout`, `hardware` (it failed, with its words). */
export async function runTool(
  argv: readonly [string, ...string[]],
  options: {
    readonly netns?: string;
    readonly timeoutMs?: number;
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
  } = {},
): Promise<string> {
  const [file, ...args] = options.netns === undefined ? argv : inNetns(options.netns, argv);
  try {
    const { stdout } = await run(file, args, {
      timeout: options.timeoutMs ?? 10_000,
      maxBuffer: 4 << 20,
      killSignal: 'SIGKILL',
      env: { ...environment(), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    return stdout;
  } catch (error) {
    const { code, killed, stderr } = error as { code?: unknown; killed?: boolean; stderr?: string };
    const command = argv.join(' ');
    if (code === 'ENOENT') throw new DpuError('unavailable', `there is no program ${file}`, { cause: error });
    if (killed) throw new DpuError('timeout', `${command} did not end in time`, { cause: error });
    throw new DpuError('hardware', `${command} failed: ${(stderr ?? '').trim()}`, { cause: error });
  }
}

/** The argv that runs another in a network namespace, in the same process (nsenter(1)); its `/sys` stays the caller's. */
export function inNetns(netns: string, argv: readonly [string, ...string[]]): readonly [string, ...string[]] {
  return ['nsenter', `--net=/run/netns/${netns}`, '--', ...argv];
}

/**
 * The living processes that carry the mark of a state directory: what was started for it, and their children. This process and those that
 * it comes from are left out.
 */
export async function markedProcesses(stateDir: string): Promise<readonly ProcessRecord[]> {
  const found: ProcessRecord[] = [];
  const self = ancestry();
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!/^\d+$/.test(entry) || self.has(pid)) continue;
    if (!environmentOf(pid).includes(`${MARK}=${stateDir}`)) continue;
    const started = startTime(pid);
    if (started !== undefined) found.push({ pid, started });
  }
  return found;
}

/** The end of a program's log, on one line. */
export async function logTail(stateDir: string, name: string): Promise<string> {
  try {
    const text = (await readFile(logFile(stateDir, name), 'utf8')).slice(-TAIL_BYTES).trim();
    return text.split('\n').slice(-5).join(' | ');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

/** Where a program's output goes. */
export function logFile(stateDir: string, name: string): string {
  return join(logDir(stateDir), `${name}.log`);
}

function pidFile(stateDir: string, name: string): string {
  return join(runDir(stateDir), `${name}.pid`);
}

function pipeFile(stateDir: string, name: string): string {
  return join(runDir(stateDir), `${name}.stdin`);
}

async function writePidFile(stateDir: string, name: string, record: ProcessRecord): Promise<void> {
  const file = pidFile(stateDir, name);
  await writeFile(`${file}.new`, `${record.pid} ${record.started}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** A pipe whose reader holds its writing end too, so that it never ends. */
async function openPipe(stateDir: string, name: string): ReturnType<typeof open> {
  const file = pipeFile(stateDir, name);
  if (!existsSync(file)) await run('mkfifo', ['-m', '600', file]);
  return await open(file, 'r+');
}

function send(record: ProcessRecord, signal: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  try {
    process.kill(record.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function gone(record: ProcessRecord, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (isAlive(record)) {
    if (performance.now() > deadline) return false;
    await sleep(10);
  }
  return true;
}

/** Our environment, with the directories where Debian keeps programs for root. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
}

/** This process, its parent, and so on. */
function ancestry(): ReadonlySet<number> {
  const pids = new Set<number>();
  for (let pid = process.pid; pid > 0 && !pids.has(pid); ) {
    pids.add(pid);
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    pid = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  }
  return pids;
}

function environmentOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return []; // gone, or another user's: not ours to look at
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
