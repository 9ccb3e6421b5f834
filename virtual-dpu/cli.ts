/** The command line of `npx virtual-dpu`. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DpuError } from '../core/errors.ts';
import { checkHostOptions } from './host/settings.ts';
import type { PartName, UpOptions } from './virtual-dpu.ts';

/** The text of `--help`. */
export const HELP = `Usage: npx virtual-dpu COMMAND [OPTIONS]

A server with a DPU, out of real parts: QEMU, Open vSwitch, a storage daemon, a BMC. It lives in a state directory and in
network namespaces of its own; several stand side by side.

  up         bring it up, or what is missing of it; the server comes up powered off
  down       end all of it, and nothing else; disks, databases and logs stay
  status     what runs: exit status 0 for all of it, 1 for some, 3 for none
  restart PART       end host, network, storage or bmc, and start it again
  doctor     examine this machine: exit status 1 when something needed is missing
  console    the server's serial console through its BMC; ends with ~. (--log: what it said so far)
  exec [--tenant] -- PROGRAM …   run a program in its network namespace: exec -- ovs-vsctl show
  image …    make a guest's disk image: image --help

  --state DIR           the state directory (default .virtual-dpu)
  -o, --output FORMAT   text or json (up, status, doctor)
  -h, --help            this text
for up:
  --memory MIB          of the server (default 1024)
  --cpus N              of the server (default 1)
  --serial-number TEXT  of the server
  --uuid UUID           of the server
  --accel HOW           tcg (default), kvm, or auto: KVM if a trial guest runs
  --arch ARCH           x86_64 (default) or aarch64
  --front HOW           how the server reaches its disks: nbd (default) or vhost-user
  --ovn                 with OVN, which then owns the flows of the bridge
  --no-tenant           without tenant network, DHCP and metadata
  --group NAME          lets a group use OVSDB, SPDK's socket and the BMC: that of a daemon without rights
`;

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'up'; readonly options: UpOptions; readonly json: boolean }
  | { readonly kind: 'down'; readonly stateDir: string }
  | { readonly kind: 'status' | 'doctor'; readonly stateDir: string; readonly json: boolean }
  | { readonly kind: 'restart'; readonly stateDir: string; readonly part: PartName }
  | { readonly kind: 'console'; readonly stateDir: string; readonly log: boolean }
  | {
      readonly kind: 'exec';
      readonly stateDir: string;
      readonly tenant: boolean;
      readonly argv: readonly [string, ...string[]];
    }
  | { readonly kind: 'image'; readonly argv: readonly string[] };

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const shared = { state: text, help: { type: 'boolean', short: 'h' } } as const;
const output = { output: { type: 'string', short: 'o' } } as const;

/** The options of each command. */
const OPTIONS = {
  up: {
    ...{ ...shared, ...output, memory: text, cpus: text, 'serial-number': text, uuid: text, accel: text, arch: text },
    ...{ front: text, ovn: flag, 'no-tenant': flag, group: text },
  },
  down: shared,
  status: { ...shared, ...output },
  restart: shared,
  doctor: { ...shared, ...output },
  console: { ...shared, log: flag },
  exec: { ...shared, tenant: flag },
} as const;

const PARTS = ['host', 'network', 'storage', 'bmc'] as const;

/** Reads the command line. @throws DpuError `invalid` with what is wrong. */
export function parseCommand(argv: readonly string[]): Command {
  const [name, ...args] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') return { kind: 'help' };
  if (name === 'image') return { kind: 'image', argv: args };
  if (!isCommand(name)) {
    throw new DpuError('invalid', name.startsWith('-') ? 'the command comes first' : `there is no command ${name}`);
  }
  const { values, positionals } = parse(name, args);
  if (values.help === true) return { kind: 'help' };
  const stateDir = resolve(nonEmpty('--state', values.state) ?? '.virtual-dpu');
  if (name !== 'exec' && name !== 'restart' && positionals.length > 0) {
    throw new DpuError('invalid', `${name} takes no ${positionals[0]}`);
  }
  switch (name) {
    case 'up':
      return { kind: 'up', options: upOptions(stateDir, values), json: isJson(values.output) };
    case 'down':
      return { kind: 'down', stateDir };
    case 'status':
    case 'doctor':
      return { kind: name, stateDir, json: isJson(values.output) };
    case 'restart': {
      const part = PARTS.find((each) => each === positionals[0]);
      if (part === undefined || positionals.length > 1)
        throw new DpuError('invalid', `restart needs one of ${PARTS.join(', ')}`);
      return { kind: 'restart', stateDir, part };
    }
    case 'console':
      return { kind: 'console', stateDir, log: values.log === true };
    case 'exec': {
      const [program, ...rest] = positionals;
      if (program === undefined) throw new DpuError('invalid', 'exec needs a program: exec -- ovs-vsctl show');
      return { kind: 'exec', stateDir, tenant: values.tenant === true, argv: [program, ...rest] };
    }
  }
}

/** Values of all commands' options. */
type Values = Readonly<Record<string, string | boolean | undefined>>;

function isCommand(name: string): name is keyof typeof OPTIONS {
  return Object.hasOwn(OPTIONS, name);
}

function parse(
  name: keyof typeof OPTIONS,
  args: readonly string[],
): { readonly values: Values; readonly positionals: readonly string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS[name], allowPositionals: true });
    return { values: values as Values, positionals };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new DpuError('invalid', (error.message.split('. ')[0] ?? error.message).replace(/^Unknown/, 'unknown'));
  }
}

function upOptions(stateDir: string, values: Values): UpOptions {
  const memoryMib = wholeNumber('--memory', values.memory);
  const cpus = wholeNumber('--cpus', values.cpus);
  const serialNumber = nonEmpty('--serial-number', values['serial-number']);
  const uuid = nonEmpty('--uuid', values.uuid);
  const accel = oneOf('--accel', values.accel, ['tcg', 'kvm', 'auto']);
  const arch = oneOf('--arch', values.arch, ['x86_64', 'aarch64']);
  const front = oneOf('--front', values.front, ['nbd', 'vhost-user']);
  const group = nonEmpty('--group', values.group);
  const options: UpOptions = {
    stateDir,
    ...(group === undefined ? {} : { group }),
    ...(memoryMib === undefined ? {} : { memoryMib }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(serialNumber === undefined ? {} : { serialNumber }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(accel === undefined ? {} : { accel }),
    ...(arch === undefined ? {} : { arch }),
    ...(front === undefined ? {} : { front }),
    ...(values.ovn === true ? { ovn: true } : {}),
    ...(values['no-tenant'] === true ? { tenant: false } : {}),
  };
  checkHostOptions(options);
  return options;
}

function isJson(value: string | boolean | undefined): boolean {
  return oneOf('--output', value, ['text', 'json']) === 'json';
}

function oneOf<T extends string>(
  option: string,
  value: string | boolean | undefined,
  values: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = values.find((each) => each === value);
  if (found === undefined) throw new DpuError('invalid', `${option} is one of ${values.join(', ')}, not ${value}`);
  return found;
}

function wholeNumber(option: string, value: string | boolean | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^\d{1,9}$/.test(value)) {
    throw new DpuError('invalid', `${option} is a whole number, not ${value}`);
  }
  return Number(value);
}

function nonEmpty(option: string, value: string | boolean | undefined): string | undefined {
  if (value === '') throw new DpuError('invalid', `${option} needs a value`);
  return typeof value === 'string' ? value : undefined;
}
