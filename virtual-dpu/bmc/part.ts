/** The BMC as a part of the virtual DPU: the service, a terminal on the host's serial line, and ipmi_sim. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DpuError } from '../../core/errors.ts';
import type { BmcPart, HostPart } from '../description.ts';
import type { PartContext } from '../part.ts';
import { endNamed, livingProcess, type ProcessRecord, spawnDetached, waitFor, waitForSocket } from '../process.ts';
import { ensureCertificate } from './certificate.ts';
import { bmcStatus } from './control.ts';
import { type BmcFiles, bmcFiles, makeBmcDir, SIM } from './files.ts';
import { fruImage } from './fru.ts';
import { chassisScript, emulation, type IpmiSimFiles, lanConf } from './ipmi-files.ts';
import { freeUdpPort, ipmiAnswers } from './ipmi-ready.ts';
import type { ServiceOptions } from './service-main.ts';

/** What may be chosen about the BMC. */
export interface BmcOptions {
  /** Default `admin`. */
  readonly username?: string;
  /** Default: a random one, made once. At most 16 bytes: ipmi_sim lets nobody in with more. */
  readonly password?: string;
}

const SERVICE = 'bmc';
const TERMINAL = 'bmc-terminal';
const READY_MS = 20_000;

/** Starts what of the BMC does not run yet. May be called twice. @throws DpuError `bad_state` without a host, `unavailable`, `timeout`. */
export async function startBmc(context: PartContext, options: BmcOptions = {}): Promise<BmcPart> {
  const { stateDir, host } = context;
  if (host === undefined) throw new DpuError('bad_state', 'a BMC needs the host that it controls');
  const files = bmcFiles(stateDir);
  await makeBmcDir(files);
  const password = await ensurePassword(stateDir, files, options.password);
  const { fingerprint } = await ensureCertificate(files.keyFile, files.certificateFile);
  const wanted = await serviceOptions(context.stateDir, host, files, options.username ?? 'admin');
  const service = await ensureService(stateDir, files, wanted);
  await ensureTerminal(stateDir, files);
  const ipmiSim = await ensureSim(stateDir, files, wanted, password);
  const { redfishPort } = await bmcStatus(files.controlSocket);
  context.log(`BMC: Redfish on port ${redfishPort}, IPMI on port ${ipmiSim.port}`);
  return {
    username: wanted.username,
    passwordFile: files.passwordFile,
    ipmi: { address: '127.0.0.1', port: ipmiSim.port },
    redfish: { url: `https://127.0.0.1:${redfishPort}`, certificateFile: files.certificateFile, fingerprint },
    pids: { service: service.pid, ipmiSim: ipmiSim.pid },
  };
}

/** Ends it. One that does not run is fine. */
export async function stopBmc(context: Pick<PartContext, 'stateDir'>): Promise<void> {
  for (const name of [SIM, TERMINAL, SERVICE]) await endNamed(context.stateDir, name);
  const { terminal, controlSocket, serialSocket } = bmcFiles(context.stateDir);
  // The lock is ipmi_sim's, who leaves it when it is killed.
  const lock = join('/var/lock', `LCK..${basename(terminal)}`);
  for (const file of [terminal, lock, controlSocket, serialSocket]) await rm(file, { force: true });
}

/** Whether all of it runs. */
export async function bmcAlive(context: Pick<PartContext, 'stateDir'>): Promise<boolean> {
  const found = await Promise.all([SERVICE, TERMINAL, SIM].map((name) => livingProcess(context.stateDir, name)));
  return found.every((record) => record !== undefined);
}

async function ensurePassword(stateDir: string, { passwordFile }: BmcFiles, given?: string): Promise<string> {
  const old = existsSync(passwordFile) ? (await readFile(passwordFile, 'utf8')).trim() : undefined;
  const password = given ?? old ?? randomBytes(8).toString('hex');
  if (password !== old) {
    // Whoever runs has the old one.
    for (const name of [SIM, SERVICE]) await endNamed(stateDir, name);
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  }
  return password;
}

/** What the service should run with: the ports stay as they were. */
async function serviceOptions(
  stateDir: string,
  host: HostPart,
  { optionsFile }: BmcFiles,
  username: string,
): Promise<ServiceOptions> {
  const old = existsSync(optionsFile) ? (JSON.parse(await readFile(optionsFile, 'utf8')) as ServiceOptions) : undefined;
  const { uuid, serialNumber, arch, cpus, memoryMib } = host;
  return {
    stateDir,
    facts: { uuid, serialNumber, arch, cpus, memoryMib },
    qmp: host.qmp.bmc,
    serial: host.serial,
    username,
    redfishPort: old?.redfishPort ?? 0,
    ipmiPort: old?.ipmiPort ?? (await freeUdpPort()),
  };
}

async function ensureService(stateDir: string, files: BmcFiles, wanted: ServiceOptions): Promise<ProcessRecord> {
  const text = JSON.stringify(wanted);
  const same = existsSync(files.optionsFile) && (await readFile(files.optionsFile, 'utf8')) === text;
  const living = await livingProcess(stateDir, SERVICE);
  const record = living && same ? living : await spawnService(stateDir, files, text);
  // One that lives may have been started by somebody who did not live to see it ready.
  await waitForSocket(files.controlSocket, { deadlineMs: READY_MS, owner: { stateDir, name: SERVICE, record } });
  const { redfishPort } = await bmcStatus(files.controlSocket);
  await writeFile(files.optionsFile, JSON.stringify({ ...wanted, redfishPort }), { mode: 0o600 });
  return record;
}

async function spawnService(stateDir: string, files: BmcFiles, options: string): Promise<ProcessRecord> {
  for (const name of [SIM, TERMINAL, SERVICE]) await endNamed(stateDir, name);
  await rm(files.controlSocket, { force: true });
  await writeFile(files.optionsFile, options, { mode: 0o600 });
  const program = fileURLToPath(new URL(`service-main${extname(import.meta.filename)}`, import.meta.url));
  return await spawnDetached({ stateDir, name: SERVICE, argv: [process.execPath, program, files.optionsFile] });
}

/** ipmi_sim takes a terminal or TCP for the serial line, and TCP would let everybody on this machine in. */
async function ensureTerminal(stateDir: string, files: BmcFiles): Promise<void> {
  if ((await livingProcess(stateDir, TERMINAL)) && existsSync(files.terminal)) return;
  for (const name of [SIM, TERMINAL]) await endNamed(stateDir, name);
  await rm(files.terminal, { force: true });
  const pty = `PTY,link=${files.terminal},raw,echo=0,mode=600`;
  const argv = ['socat', pty, `UNIX-CONNECT:${files.serialSocket}`] as const;
  const record = await spawnDetached({ stateDir, name: TERMINAL, argv });
  const owner = { stateDir, name: TERMINAL, record };
  await waitFor(async () => existsSync(files.terminal), { what: 'a terminal', deadlineMs: READY_MS, owner });
}

async function ensureSim(
  stateDir: string,
  files: BmcFiles,
  { facts, username, ipmiPort }: ServiceOptions,
  password: string,
): Promise<ProcessRecord & { readonly port: number }> {
  const living = await livingProcess(stateDir, SIM);
  if (living) {
    const owner = { stateDir, name: SIM, record: living };
    await waitFor(() => ipmiAnswers(ipmiPort, 100), { what: 'IPMI', deadlineMs: READY_MS, owner });
    return { ...living, port: ipmiPort };
  }
  const { dir } = files;
  const { serialNumber } = facts;
  const fru = fruImage({ manufacturer: 'VDPU', product: 'virtual-server', serialNumber, assetTag: '' });
  const sim: IpmiSimFiles = {
    port: ipmiPort,
    username,
    password,
    uuid: facts.uuid,
    terminal: files.terminal,
    chassisProgram: join(dir, 'chassis.sh'),
    fruFile: join(dir, 'fru.bin'),
    fruBytes: fru.length,
  };
  await writeFile(sim.fruFile, fru);
  await writeFile(sim.chassisProgram, chassisScript(files.controlSocket), { mode: 0o700 });
  await chmod(sim.chassisProgram, 0o700);
  const [conf, emu] = [join(dir, 'lan.conf'), join(dir, 'bmc.emu')];
  await writeFile(conf, lanConf(sim), { mode: 0o600 });
  await writeFile(emu, emulation(sim));
  const record = await spawnDetached({
    stateDir,
    name: SIM,
    argv: ['ipmi_sim', '-c', conf, '-f', emu, '-s', join(dir, 'ipmi-state')],
    // It ends at the end of its input, and takes no /dev/null.
    stdin: 'open',
  });
  const owner = { stateDir, name: SIM, record };
  await waitFor(() => ipmiAnswers(ipmiPort, 100), { what: 'IPMI', deadlineMs: READY_MS, owner });
  return { ...record, port: ipmiPort };
}
