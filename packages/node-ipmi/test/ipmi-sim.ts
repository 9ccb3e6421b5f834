import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freeUdpPort } from '../../../tools/free-port.ts';
import { createIpmiClient, type IpmiClientOptions } from '../src/index.ts';
import { compactSdr, fullSdr, testFru } from './sdr-images.ts';

const SIM = '/usr/bin/ipmi_sim';
const TOOL = '/usr/bin/ipmitool';
const fixture = (name: string): URL => new URL(`./fixtures/${name}`, import.meta.url);

/** Whether OpenIPMI's ipmi_sim and ipmitool are installed. With CI set, their absence is a failure and not a reason to skip. */
export function havePeers(): boolean {
  const missing = [...(existsSync(SIM) ? [] : ['openipmi']), ...(existsSync(TOOL) ? [] : ['ipmitool'])];
  if (missing.length > 0 && process.env.CI) {
    throw new Error(`the tests of node-ipmi need the Debian packages ${missing.join(', ')}`);
  }
  if (missing.length > 0) process.stderr.write(`node-ipmi: tests SKIPPED, not installed: ${missing.join(', ')}\n`);
  return missing.length === 0;
}

/** The tests' users: name -> password. */
export const USERS = { admin: 'secret12', oper: 'oper1234', watcher: 'watch123', single: 'single12' } as const;

/** The far end of the serial line. */
export type SerialLine = {
  /** What the console's user typed, so far. */
  received(): string;
  /** Resolves when `text` was typed. */
  until(text: string): Promise<void>;
  write(text: string | Buffer): void;
};

/** A private ipmi_sim. */
export type IpmiSim = {
  readonly port: number;
  readonly directory: string;
  readonly serial: SerialLine;
  options(more?: Partial<IpmiClientOptions>): IpmiClientOptions;
  /** What chassis.sh was told to do, line by line. */
  chassisLog(): Promise<readonly string[]>;
  /** Ends it without a word, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** What `ipmitool -I lanplus -C 3` says; the password goes by file. */
  tool(...args: string[]): Promise<string>;
};

const SENSORS = [
  { set: '0x28', sdr: fullSdr({ id: 1, number: 1, type: 1, unit: 1, format: 0, m: 1, name: 'Inlet' }) },
  {
    set: '0x86',
    sdr: fullSdr({ id: 2, number: 2, type: 2, unit: 4, format: 0, m: 9, rExponent: -2, name: 'P1V2 rail' }),
  },
  {
    set: '0xf0',
    sdr: fullSdr({
      id: 3,
      number: 3,
      type: 1,
      unit: 1,
      format: 2,
      m: 5,
      b: -3,
      bExponent: 1,
      rExponent: -1,
      name: 'Cold',
    }),
  },
  {
    set: '0x37',
    sdr: fullSdr({ id: 4, number: 4, type: 4, unit: 18, format: 0, m: 6, b: 12, bExponent: 2, name: 'Fan with long' }),
  },
] as const;

const hex = (bytes: Buffer): string => [...bytes].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');

function emulation(directory: string, size: number): string {
  const lines = ['mc_setbmc 0x20', 'mc_add 0x20 0x21 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr'];
  lines.push('sel_enable 0x20 1000 0x0a', `mc_add_fru_data 0x20 0 ${size + 100} file 0 "${directory}/fru.bin"`);
  for (const [at, { set, sdr }] of SENSORS.entries()) {
    const sensor = `0x20 0 ${at + 1}`;
    lines.push(`sensor_add ${sensor} 0x${[1, 2, 1, 4][at]} 0x01`, `sensor_set_value ${sensor} ${set} 0`);
    lines.push(`sensor_set_threshold ${sensor} settable 111111 0xa0 0x90 0x70 0x08 0x10 0x18`);
    lines.push(`sensor_set_event_support ${sensor} enable scanning per-state ${'000111111000000 '.repeat(4)}`);
    lines.push(`main_sdr_add 0x20 ${hex(sdr)}`);
  }
  lines.push('sensor_add 0x20 0 5 0x08 0x6f', 'sensor_set_bit 0x20 0 5 0 1 0', 'sensor_set_bit 0x20 0 5 3 1 0');
  lines.push(`sensor_set_event_support 0x20 0 5 enable scanning per-state ${'000000011111111 '.repeat(4)}`);
  lines.push(`main_sdr_add 0x20 ${hex(compactSdr(5, 5, 8, 'PSU1'))}`);
  lines.push('sel_add 0x20 0x02 0x10 0x20 0x30 0x65 0x20 0x00 0x04 0x08 0x05 0x6f 0x01 0xff 0xff');
  lines.push('sel_add 0x20 0x02 0x11 0x20 0x30 0x65 0x20 0x00 0x04 0x01 0x01 0x81 0x57 0x71 0x70');
  lines.push('sel_add 0x20 0xc1 0x12 0x20 0x30 0x65 0x91 0x12 0x00 1 2 3 4 5 6');
  return `${[...lines, 'mc_enable 0x20'].join('\n')}\n`;
}

/** How its chassis is made: a script that is asked each time, or a process that is there while the power is on. */
export type SimOptions = { readonly chassis?: 'script' | 'process' };

/** Starts one with a chassis, sensors, a log, an inventory and a serial line, and waits until it answers. */
export async function startIpmiSim({ chassis = 'script' }: SimOptions = {}): Promise<IpmiSim> {
  const directory = await mkdtemp(join(tmpdir(), 'node-ipmi-'));
  const serial = await startSerial();
  const port = await freeUdpPort();
  const fru = testFru();
  await writeFile(join(directory, 'fru.bin'), fru);
  await writeFile(join(directory, 'bmc.emu'), emulation(directory, fru.length));
  for (const script of ['chassis.sh', 'host.sh']) {
    await copyFile(fixture(script), join(directory, script));
    await chmod(join(directory, script), 0o755);
  }
  const conf = await readFile(fixture('lan.conf'), 'utf8');
  const filled = conf.replace('@PORT@', `${port}`).replace('@SOL@', `${serial.port}`).replace('@DIR@', directory);
  const startCommand = `startcmd "${directory}/host.sh"\nstartnow true`;
  const chosen = chassis === 'script' ? filled : filled.replace(/^chassis_control .*$/m, startCommand);
  await writeFile(join(directory, 'lan.conf'), chosen);
  await writeFile(join(directory, 'password'), USERS.admin, { mode: 0o600 });
  let end: () => Promise<void> = async () => {};
  const sim: IpmiSim = {
    port,
    directory,
    serial,
    options: (more) => ({
      host: '127.0.0.1',
      port,
      username: 'admin',
      password: USERS.admin,
      backoff: { baseMs: 40, maxMs: 80 },
      ...more,
    }),
    async chassisLog() {
      const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
      return log.split('\n').filter((line) => line !== '');
    },
    kill: () => end(),
    async start() {
      end = await run(directory);
      await using client = createIpmiClient(sim.options({ timeoutMs: 20_000, cipherSuites: [3] }));
      await client.open();
    },
    async stop() {
      await end();
      await serial.stop();
      await rm(directory, { recursive: true, force: true });
    },
    tool: (...args) => tool({ port, passwordFile: join(directory, 'password'), suite: 3 }, ...args),
  };
  try {
    await sim.start();
  } catch (error) {
    await sim.stop();
    throw error;
  }
  return sim;
}

/** What ipmitool says of a BMC; fails with its words when it does. */
export async function tool(
  bmc: { readonly port: number; readonly passwordFile: string; readonly suite: number },
  ...args: string[]
): Promise<string> {
  const login = [
    '-I',
    'lanplus',
    '-C',
    `${bmc.suite}`,
    '-H',
    '127.0.0.1',
    '-p',
    `${bmc.port}`,
    '-U',
    'admin',
    '-f',
    bmc.passwordFile,
  ];
  const { stdout } = await promisify(execFile)(TOOL, [...login, ...args], { timeout: 20_000 });
  return stdout;
}

/** The value of a `Key : value` line. */
export function field(text: string, key: string): string | undefined {
  for (const line of text.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0 && line.slice(0, at).trim() === key) return line.slice(at + 1).trim();
  }
  return undefined;
}

async function run(directory: string): Promise<() => Promise<void>> {
  const files = ['-c', join(directory, 'lan.conf'), '-f', join(directory, 'bmc.emu'), '-s', join(directory, 'state')];
  // Its standard input must be a pipe that stays open.
  const child = spawn(SIM, [...files, '-n'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return async () => {
    child.kill('SIGKILL');
    await exited;
  };
}

async function startSerial(): Promise<SerialLine & { readonly port: number; stop(): Promise<void> }> {
  let text = '';
  const sockets = new Set<Socket>();
  const wanted = new Set<() => void>();
  const pending: (string | Buffer)[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    for (const chunk of pending.splice(0)) socket.write(chunk);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      for (const look of wanted) look();
    });
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    received: () => text,
    until(part) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = () => {
        if (!text.includes(part)) return;
        wanted.delete(look);
        resolve();
      };
      wanted.add(look);
      look();
      return promise;
    },
    write(chunk) {
      if (sockets.size === 0) pending.push(chunk);
      for (const socket of sockets) socket.write(chunk);
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
