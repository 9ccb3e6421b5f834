/** A whole server with a DPU out of real parts on one Linux machine. The library beneath `npx virtual-dpu`. */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DpuError } from '../core/errors.ts';
import { bmcAlive, startBmc, stopBmc } from './bmc/part.ts';
import type { VirtualDpu } from './description.ts';
import { hostAlive, startHost, stopHost } from './host/host.ts';
import { checkHostOptions, type HostOptions } from './host/settings.ts';
import { withStateLock } from './lock.ts';
import { ensureNetns, removeNetns, socNetns, tenantNetns } from './netns.ts';
import { networkAlive, networkProcesses, startNetwork, stopNetwork } from './network/network.ts';
import type { PartContext } from './part.ts';
import { descriptionFile, makeStateDir, nameOf, runDir, stateDirOf } from './paths.ts';
import {
  endNamed,
  endProcess,
  GUEST_PREFIX,
  isAlive,
  livingProcess,
  markedProcesses,
  processNames,
  readProcess,
  runTool,
} from './process.ts';
import { checkPrograms, checkRights } from './requirements.ts';
import { groupId, shareWith } from './share.ts';
import { startStorage, stopStorage, storageAlive } from './storage/part.ts';
import { endStrays } from './strays.ts';

/** What `up` shall bring; what is absent is left as it is, or to a default. */
export interface UpOptions extends HostOptions {
  readonly stateDir: string;
  /** How storage functions reach their back ends. Default `nbd`. */
  readonly front?: PartContext['front'];
  /** OVN beside Open vSwitch. Default no. */
  readonly ovn?: boolean;
  /** A tenant network with DHCP and metadata. Default yes. */
  readonly tenant?: boolean;
  /** A group that may use OVSDB, SPDK's socket and the BMC: that of a daemon without rights of its own. Default none. */
  readonly group?: string;
  /** Takes lines of progress for people. */
  readonly log?: (line: string) => void;
}

/** A part of a virtual DPU. */
export type PartName = 'host' | 'network' | 'storage' | 'bmc';

/** What was chosen at the first `up`, until `down`. */
interface Choices {
  readonly front: PartContext['front'];
  readonly ovn: boolean;
  readonly tenant: boolean;
  readonly group: string | null;
}

/** What runs of a virtual DPU. */
export interface VirtualDpuStatus {
  /** `up`: all of it; `partly`; `down`: none of it. */
  readonly state: 'up' | 'partly' | 'down';
  readonly name: string;
  readonly stateDir: string;
  readonly parts: Readonly<Record<PartName, boolean>>;
  readonly processes: readonly { readonly name: string; readonly pid: number; readonly alive: boolean }[];
  /** As `up` wrote it last; null after `down`. */
  readonly description: VirtualDpu | null;
}

/**
 * Brings up a virtual DPU, or what is missing of one, and writes its description. The server comes up powered off; one that runs goes on.
 * @throws DpuError `denied` without the rights, `unavailable` without a program, `conflict` when it is up with other choices, `invalid`.
 */
export async function up(options: UpOptions): Promise<VirtualDpu> {
  checkHostOptions(options);
  checkRights();
  if (options.group !== undefined) await groupId(options.group);
  checkPrograms({ arch: options.arch ?? 'x86_64', ovn: options.ovn ?? false, tenant: options.tenant ?? true });
  const stateDir = await makeStateDir(options.stateDir);
  return await withStateLock(stateDir, () => upLocked(stateDir, options));
}

async function upLocked(stateDir: string, options: UpOptions): Promise<VirtualDpu> {
  const choices = choose(await readJson<Choices>(choicesFile(stateDir)), options);
  await writeJson(choicesFile(stateDir), choices);
  const context: PartContext = {
    stateDir,
    name: nameOf(stateDir),
    front: choices.front,
    log: options.log ?? (() => undefined),
  };
  await endStrays(stateDir);
  if (await ensureNetns(socNetns(context.name))) {
    // What ran in a namespace that somebody took away would stay in it.
    for (const name of ['qemu', ...networkProcesses({ ovn: true, tenant: true })]) await endNamed(stateDir, name);
  }
  const [network, [host, bmc], storage] = await allOf([
    timed(context, 'network', () => startNetwork(context, choices)),
    timed(context, 'host', () => startHost(context, options)).then(
      async (host) => [host, await timed(context, 'bmc', () => startBmc({ ...context, host }))] as const,
    ),
    timed(context, 'storage', () => startStorage(context)),
  ]);
  const { name } = context;
  const dpu: VirtualDpu = { version: 1, name, stateDir, host, network, storage, bmc };
  await writeJson(descriptionFile(stateDir), dpu);
  if (choices.group !== null) await shareWith(await groupId(choices.group), dpu);
  return dpu;
}

/**
 * Ends all that `up` started for a state directory, and what was started into its network namespace by this library, and nothing else.
 * What is kept: disks, databases, logs, and the server's identity. May be called twice. Answers the pids that still keep the namespace in use.
 */
export async function down(options: {
  readonly stateDir: string;
  readonly log?: (line: string) => void;
}): Promise<readonly number[]> {
  const stateDir = await stateDirOf(options.stateDir);
  if (stateDir === undefined) return await endLost(resolve(options.stateDir));
  return await withStateLock(stateDir, async () => {
    const name = nameOf(stateDir);
    const context: PartContext = { stateDir, name, front: 'nbd', log: options.log ?? (() => undefined) };
    await rm(descriptionFile(stateDir), { force: true });
    await endGuests(stateDir);
    await stopBmc(context);
    await Promise.all([stopHost(context), stopStorage(context)]);
    await stopNetwork(context);
    for (const each of await processNames(stateDir)) await endNamed(stateDir, each);
    const strangers = await endLost(stateDir);
    await rm(runDir(stateDir), { recursive: true, force: true });
    await removeSockets(stateDir);
    await rm(choicesFile(stateDir), { force: true });
    return strangers;
  });
}

/** Ends what carries the mark of a state directory, which may be gone, and removes its namespaces. Answers the pids that still keep them in use. */
async function endLost(stateDir: string): Promise<readonly number[]> {
  for (const each of await markedProcesses(stateDir)) await endProcess(each);
  const namespaces = [socNetns(nameOf(stateDir)), tenantNetns(nameOf(stateDir))];
  const strangers = await Promise.all(namespaces.map(pidsIn));
  for (const netns of namespaces) await removeNetns(netns);
  return strangers.flat();
}

/** Removes what those left that could not clean up after themselves. */
async function removeSockets(stateDir: string): Promise<void> {
  const files = await readdir(stateDir, { recursive: true, withFileTypes: true });
  for (const file of files.filter((each) => each.isSocket() || each.isFIFO())) {
    await rm(join(file.parentPath, file.name), { force: true });
  }
}

/** Ends what others started into the namespace through this library (snic-controller), before what it works on goes away. */
async function endGuests(stateDir: string): Promise<void> {
  const guests = (await processNames(stateDir)).filter((name) => name.startsWith(GUEST_PREFIX));
  for (const name of guests) await endNamed(stateDir, name);
}

const NOTHING: Omit<VirtualDpuStatus, 'name' | 'stateDir'> = {
  state: 'down',
  parts: { host: false, network: false, storage: false, bmc: false },
  processes: [],
  description: null,
};

/** What runs. */
export async function status(dir: string): Promise<VirtualDpuStatus> {
  const stateDir = await stateDirOf(dir);
  if (stateDir === undefined) return { ...NOTHING, name: nameOf(dir), stateDir: dir };
  const choices = (await readJson<Choices>(choicesFile(stateDir))) ?? DEFAULTS;
  const context = { stateDir, name: nameOf(stateDir), front: choices.front, log: () => undefined };
  const [host, network, storage, bmc] = await Promise.all([
    hostAlive(context),
    networkAlive(context, choices),
    storageAlive(context),
    bmcAlive(context),
  ]);
  const parts = { host, network, storage, bmc };
  const processes = await Promise.all(
    [...(await processNames(stateDir))].sort().map(async (name) => {
      const record = await readProcess(stateDir, name);
      return { name, pid: record?.pid ?? 0, alive: isAlive(record) };
    }),
  );
  const description = (await readJson<VirtualDpu>(descriptionFile(stateDir))) ?? null;
  const living = processes.some(({ alive }) => alive);
  const state = !living ? 'down' : description !== null && Object.values(parts).every(Boolean) ? 'up' : 'partly';
  return { state, name: context.name, stateDir, parts, processes, description };
}

/** The description of a virtual DPU that is up. @throws DpuError `not_found` when it is not. */
export async function readVirtualDpu(stateDir: string): Promise<VirtualDpu> {
  const dpu = await readJson<VirtualDpu>(descriptionFile(stateDir));
  if (dpu === undefined) throw new DpuError('not_found', `no virtual DPU is up in ${stateDir}`);
  return dpu;
}

/** Ends a part and starts it again; the others go on. Answers the new description. @throws DpuError `not_found` when it is not up. */
export async function restart(dir: string, part: PartName, log?: (line: string) => void): Promise<VirtualDpu> {
  const { stateDir, name, storage } = await readVirtualDpu(dir);
  const context: PartContext = { stateDir, name, front: storage.front.kind, log: log ?? (() => undefined) };
  const stop = { host: stopHost, network: stopNetwork, storage: stopStorage, bmc: stopBmc }[part];
  await withStateLock(stateDir, () => stop(context));
  return await up({ stateDir, ...(log === undefined ? {} : { log }) });
}

/** Kills a process by the name that `status` shows, for tests of what happens then. @throws DpuError `not_found` when it does not live. */
export async function kill(dir: string, name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const record = await livingProcess(dir, name);
  if (record === undefined) throw new DpuError('not_found', `no ${name} runs in ${dir}`);
  await endProcess(record, { signal });
}

async function timed<T>(context: PartContext, part: PartName, start: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  try {
    const result = await start();
    context.log(`${part}: up (${((performance.now() - begun) / 1000).toFixed(2)} s)`);
    return result;
  } catch (error) {
    context.log(`${part}: did not start`);
    throw error;
  }
}

/** Waits for all, so that nothing goes on behind an error's back; then the first error counts. */
async function allOf<T extends readonly unknown[]>(work: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(work);
  return (await Promise.all(work)) as unknown as T;
}

const DEFAULTS: Choices = { front: 'nbd', ovn: false, tenant: true, group: null };

function choose(kept: Choices | undefined, options: UpOptions): Choices {
  if (kept === undefined) {
    const { front, ovn, tenant, group } = { ...DEFAULTS, ...withoutUndefined(options) };
    return { front, ovn, tenant, group };
  }
  for (const key of ['front', 'ovn', 'tenant', 'group'] as const) {
    if (options[key] === undefined || options[key] === kept[key]) continue;
    throw new DpuError('conflict', `it is up with ${key} ${kept[key]} and not ${options[key]}: take it down first`, {
      field: key,
    });
  }
  return kept;
}

function withoutUndefined(options: UpOptions): Partial<Choices> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

async function pidsIn(netns: string): Promise<readonly number[]> {
  try {
    const text = await runTool(['ip', 'netns', 'pids', netns]);
    return text.split('\n').flatMap((line) => (line === '' ? [] : [Number(line)]));
  } catch {
    return []; // there is no such namespace, so nobody is in it
  }
}

function choicesFile(stateDir: string): string {
  return join(stateDir, 'choices.json');
}

async function readJson<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
