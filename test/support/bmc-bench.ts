import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createIpmiClient, type IpmiClient } from '../../packages/node-ipmi/src/index.ts';
import { connectRedfish, type RedfishClient, type RedfishOptions } from '../../packages/redfish-client/src/index.ts';
import { setBmcRules } from '../../virtual-dpu/bmc/control.ts';
import { bmcFiles } from '../../virtual-dpu/bmc/files.ts';
import { startBmc, stopBmc } from '../../virtual-dpu/bmc/part.ts';
import type { BmcRules } from '../../virtual-dpu/bmc/rules.ts';
import type { BmcPart } from '../../virtual-dpu/description.ts';
import type { PartContext } from '../../virtual-dpu/part.ts';
import { havePrograms, startMachine, type TestMachine } from './qemu-machine.ts';

/** What a test on the BMC needs of Debian. */
export const BMC_PROGRAMS = {
  '/usr/bin/qemu-system-x86_64': 'qemu-system-x86',
  '/usr/bin/ipmi_sim': 'openipmi',
  '/usr/bin/ipmitool': 'ipmitool',
  '/usr/bin/socat': 'socat',
  '/usr/bin/openssl': 'openssl',
};

/** Whether they are there: see `havePrograms`. */
export function haveBmcPrograms(what: string): boolean {
  return havePrograms(what, BMC_PROGRAMS);
}

/** The host's serial line as somebody reads it. */
export interface SerialReader {
  /** What was read and not yet waited for. */
  text(): string;
  /** Resolves when the text was read; what is before it is forgotten. */
  until(text: string, deadlineMs?: number): Promise<void>;
  /** Forgets what was read. */
  clear(): void;
  write(text: string): void;
  close(): void;
}

/** A machine with its BMC, and clients of it. */
export interface BmcBench {
  readonly machine: TestMachine;
  readonly context: PartContext;
  readonly part: BmcPart;
  readonly password: string;
  readonly redfish: RedfishClient;
  readonly ipmi: IpmiClient;
  readonly serial: SerialReader;
  redfishOptions(more?: Partial<RedfishOptions>): RedfishOptions;
  /** How the BMC plays from now on; nothing is a BMC that does as it is told. */
  rules(rules?: Partial<BmcRules>): Promise<void>;
  close(): Promise<void>;
}

/** Starts a machine with the disks `a` and `b`, a NIC, and its BMC. */
export async function startBmcBench(): Promise<BmcBench> {
  const machine = await startMachine();
  const { stateDir, host } = machine;
  const context: PartContext = { stateDir, name: 'vdpu-test', host, front: 'nbd', log: () => {} };
  try {
    await machine.plugDisk('a', 2, 'this is disk a');
    await machine.plugDisk('b', 3, 'this is disk b');
    await machine.plugNic('n', 4, '02:00:00:00:00:01');
    const part = await startBmc(context);
    const password = (await readFile(part.passwordFile, 'utf8')).trim();
    const redfishOptions = (more: Partial<RedfishOptions> = {}): RedfishOptions => ({
      url: part.redfish.url,
      auth: { kind: 'session', username: part.username, password },
      tls: { fingerprints: [part.redfish.fingerprint] },
      pollMs: 20,
      backoff: { baseMs: 5, maxMs: 20 },
      ...more,
    });
    const redfish = connectRedfish(redfishOptions());
    const ipmi = createIpmiClient({
      host: part.ipmi.address,
      port: part.ipmi.port,
      username: part.username,
      password,
      cipherSuites: [3],
    });
    const files = bmcFiles(stateDir);
    const serial = await openSerial(files.serialSocket);
    return {
      machine,
      context,
      part,
      password,
      redfish,
      ipmi,
      serial,
      redfishOptions,
      rules: (rules = {}) => setBmcRules(files.controlSocket, rules),
      async close() {
        serial.close();
        await redfish.close();
        await ipmi.close();
        await stopBmc(context);
        await machine.close();
      },
    };
  } catch (error) {
    await stopBmc(context);
    await machine.close();
    throw error;
  }
}

/** Reads a unix socket of text. */
export async function openSerial(path: string): Promise<SerialReader> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  return {
    text: () => text,
    async until(wanted, deadlineMs = 60_000) {
      await eventually(`${JSON.stringify(wanted)} on the serial line`, async () => text.includes(wanted), deadlineMs);
      text = text.slice(text.indexOf(wanted) + wanted.length);
    },
    clear() {
      text = '';
    },
    write: (typed) => void socket.write(typed),
    close: () => void socket.destroy(),
  };
}

/** Looks until it is so. @throws Error at the deadline. */
export async function eventually(what: string, check: () => Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await sleep(10);
  }
}
