/** The server: a QEMU machine in the virtual DPU's network namespace. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DpuError } from '../../core/errors.ts';
import type { HostPart } from '../description.ts';
import { socNetns } from '../netns.ts';
import type { PartContext } from '../part.ts';
import { endNamed, livingProcess, logTail, spawnDetached, waitForSocket } from '../process.ts';
import { isHere } from '../requirements.ts';
import { tryAccel } from './kvm-trial.ts';
import { hostPaths, machineArgv, qemuPackage, qemuProgram, rootPorts } from './machine.ts';
import { checkHostOptions, checkUnchanged, HOST_DEFAULTS, type HostOptions, type HostSettings } from './settings.ts';

const PROCESS = 'qemu';

/**
 * Starts the server, powered off, or finds it running. Its uuid and serial number outlive it in the state directory.
 * @throws DpuError `invalid`; `conflict` when it runs with other settings; `unavailable` without QEMU for its architecture, or when it does not start.
 */
export async function startHost(context: PartContext, options: HostOptions = {}): Promise<HostPart> {
  checkHostOptions(options);
  const paths = hostPaths(context.stateDir);
  const running = await livingProcess(context.stateDir, PROCESS);
  const kept = await readSettings(context.stateDir);
  if (running && kept) {
    checkUnchanged(kept, options);
    return describe(running.pid, kept, paths);
  }
  const settings = await chooseSettings(context, options, kept);
  await mkdir(join(context.stateDir, 'host'), { recursive: true, mode: 0o700 });
  await writeSettings(context.stateDir, settings);
  const owner = { stateDir: context.stateDir, name: PROCESS };
  const argv = machineArgv(context.name, settings, paths);
  const record = await spawnDetached({ ...owner, argv, netns: socNetns(context.name) });
  // The serial console's chardev comes last on the command line, so that the monitors are there too.
  await waitForSocket(paths.qmp.debug, { owner: { ...owner, record } });
  return describe(record.pid, settings, paths);
}

/** Ends the server, as if its plug was pulled. One that is not there is fine. */
export async function stopHost(context: Pick<PartContext, 'stateDir'>): Promise<void> {
  await endNamed(context.stateDir, PROCESS);
  const paths = hostPaths(context.stateDir);
  for (const socket of [...Object.values(paths.qmp), paths.serial]) await rm(socket, { force: true });
}

/** Whether the server's QEMU runs. */
export async function hostAlive(context: Pick<PartContext, 'stateDir'>): Promise<boolean> {
  return (await livingProcess(context.stateDir, PROCESS)) !== undefined;
}

/** What QEMU said last, for people. */
export async function hostLog(context: Pick<PartContext, 'stateDir'>): Promise<string> {
  return await logTail(context.stateDir, PROCESS);
}

function describe(pid: number, settings: HostSettings, paths: ReturnType<typeof hostPaths>): HostPart {
  return { pid, ...settings, ...paths, rootPorts: rootPorts() };
}

/** What is asked for, then what the server was, then the defaults. */
async function chooseSettings(
  context: PartContext,
  options: HostOptions,
  kept: HostSettings | undefined,
): Promise<HostSettings> {
  const arch = options.arch ?? kept?.arch ?? HOST_DEFAULTS.arch;
  if (!isHere(qemuProgram(arch))) {
    throw new DpuError(
      'unavailable',
      `there is no ${qemuProgram(arch)} here for a server of architecture ${arch}: install the Debian package ${qemuPackage(arch)}`,
    );
  }
  return {
    arch,
    accel: await chooseAccel(context, arch, options.accel ?? kept?.accel ?? HOST_DEFAULTS.accel),
    cpus: options.cpus ?? kept?.cpus ?? HOST_DEFAULTS.cpus,
    memoryMib: options.memoryMib ?? kept?.memoryMib ?? HOST_DEFAULTS.memoryMib,
    serialNumber: options.serialNumber ?? kept?.serialNumber ?? context.name.toUpperCase(),
    uuid: options.uuid ?? kept?.uuid ?? randomUUID(),
  };
}

async function chooseAccel(
  context: PartContext,
  arch: HostPart['arch'],
  wanted: HostPart['accel'] | 'auto',
): Promise<HostPart['accel']> {
  if (wanted !== 'auto') return wanted;
  // The trial is x86 code, and KVM runs no other architecture's.
  if (arch !== 'x86_64' || process.arch !== 'x64') return 'tcg';
  const verdict = await tryAccel('kvm');
  if (!verdict.usable) context.log(`host: no KVM, ${verdict.why}; going on with TCG`);
  return verdict.usable ? 'kvm' : 'tcg';
}

function settingsFile(stateDir: string): string {
  return join(stateDir, 'host/settings.json');
}

async function readSettings(stateDir: string): Promise<HostSettings | undefined> {
  try {
    return JSON.parse(await readFile(settingsFile(stateDir), 'utf8')) as HostSettings;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeSettings(stateDir: string, settings: HostSettings): Promise<void> {
  const file = settingsFile(stateDir);
  await writeFile(`${file}.new`, `${JSON.stringify(settings, null, 2)}\n`);
  await rename(`${file}.new`, file);
}
