import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Context, Option } from './command.ts';
import { CliError, exitCode, usage } from './exit-code.ts';

type Fields = Record<string, unknown>;

/** Options that describe an instance. */
export const buildOptions: readonly Option[] = [
  { name: 'file', value: 'FILE', help: 'the request as YAML or JSON; - is stdin. Other options overrule it' },
  { name: 'uuid', value: 'UUID', help: 'its uuid; otherwise the node makes one' },
  { name: 'name', value: 'NAME', help: 'its name' },
  { name: 'flavor', value: 'FLAVOR', help: 'a flavor of the catalogue, or 4c8g' },
  { name: 'image', value: 'IMAGE', help: 'image to make the boot volume from' },
  { name: 'network', value: 'subnet=NAME[,mac=MAC]', help: 'a NIC, or port_id=ID', many: true },
  { name: 'volume', value: 'id=ID[,bootable]', help: 'a disk; read_only is possible too', many: true },
  { name: 'ssh-key-file', value: 'FILE', help: 'a public key', many: true },
  {
    name: 'config-drive',
    value: 'LABEL',
    help: 'a disk that tells it of itself',
    choices: ['config-2', 'cidata', 'none'],
  },
  { name: 'userdata-file', value: 'FILE', help: 'cloud-init user data' },
];

/** The body of a build. @throws CliError `usage`. */
export function buildRequest(context: Context): Fields {
  const path = context.option('file');
  const base = path === undefined ? {} : readRequest(path);
  const simple = ['uuid', 'name', 'flavor', 'image'].flatMap((name) => {
    const value = context.option(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const networks = context.options('network').map(networkEntry);
  const volumes = context.options('volume').map(volumeEntry);
  const keys = context.options('ssh-key-file').map((each) => readText(each).trim());
  const userdata = context.option('userdata-file');
  const drive = context.option('config-drive');
  const body: Fields = {
    ...base,
    ...Object.fromEntries(simple),
    ...(networks.length === 0 ? {} : { networks }),
    ...(volumes.length === 0 ? {} : { volumes }),
    ...(keys.length === 0 ? {} : { ssh_keys: keys }),
    ...(userdata === undefined ? {} : { userdata: readText(userdata) }),
    ...(drive === undefined ? {} : { config_drive: drive === 'none' ? false : drive }),
  };
  for (const name of ['name', 'flavor']) if (!(name in body)) throw usage(`--${name} is missing`);
  return body;
}

/** `subnet=net1,mac=…` as an entry. @throws CliError `usage`. */
export function networkEntry(text: string): Fields {
  return entry(text, ['subnet', 'port_id', 'mac', 'type', 'class'], [], '--network');
}

/** `id=…,bootable` as an entry. @throws CliError `usage`. */
export function volumeEntry(text: string): Fields {
  const { id, ...rest } = entry(text, ['id', 'volume_id'], ['bootable', 'read_only'], '--volume');
  const volumeId = id ?? rest.volume_id;
  if (volumeId === undefined) throw usage('--volume needs id=');
  return { ...rest, volume_id: volumeId };
}

function entry(text: string, names: readonly string[], switches: readonly string[], option: string): Fields {
  const fields: Fields = {};
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const name = at === -1 ? part : part.slice(0, at);
    const value = at === -1 ? undefined : part.slice(at + 1);
    if (switches.includes(name) && (value === undefined || /^(true|false)$/.test(value)))
      fields[name] = value !== 'false';
    else if (names.includes(name) && value) fields[name] = value;
    else
      throw usage(`${option}: ${part} is not one of ${[...names.map((each) => `${each}=`), ...switches].join(', ')}`);
  }
  return fields;
}

function readRequest(path: string): Fields {
  const text = readText(path);
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new CliError(exitCode.usage, `${path} is neither YAML nor JSON`, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw usage(`${path} holds no request`);
  return value as Fields;
}

function readText(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new CliError(exitCode.usage, `cannot read ${path}`, cause);
  }
}
