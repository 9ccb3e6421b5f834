/** `dpuctl identity`: who the node is, kept for a SoC that is reflashed. The import works without the daemon, on its state directory. */
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { openReader } from '../../kit/sqlite.ts';
import { lockState } from '../../kit/state-lock.ts';
import { validate } from '../../kit/validate.ts';
import type { NodeIdentityFile } from '../../schemas/generated/rest.ts';
import type { Command, Context, Option } from './command.ts';
import { CliError, type ExitCode, exitCode, usage } from './exit-code.ts';

const DEFAULT_STATE_DIR = '/var/lib/dpu-compute';
const stateDirOption: Option = {
  name: 'state-dir',
  value: 'DIR',
  help: `state_dir of the configuration; default ${DEFAULT_STATE_DIR}`,
};
/** As soc-daemon looks for it. */
const importName = 'identity.import';
const keyName = 'store.key';

const failed = (message: string, cause?: unknown): CliError => new CliError(exitCode.failed, message, cause);

/** Writes a file that is for its owner alone, whole or not at all. */
function writePrivate(file: string, text: string): void {
  const whole = `${file}.${process.pid}`;
  rmSync(whole, { force: true });
  const handle = openSync(whole, 'wx', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(whole, file);
}

async function exportIdentity(context: Context): Promise<ExitCode> {
  const [file = ''] = context.args;
  if (existsSync(file)) throw usage(`${file} is there already`);
  const identity = (await context.client.ask('GET', '/v1/identity')) as NodeIdentityFile;
  const keyFile = context.option('store-key');
  const key = keyFile === undefined ? {} : { store_key: readKey(keyFile) };
  writePrivate(file, `${JSON.stringify({ ...identity, ...key }, null, 2)}\n`);
  context.note(
    `${identity.hostname} (${identity.uuid}) is in ${file}${keyFile === undefined ? '' : ', with the key of its store'}`,
  );
  return exitCode.done;
}

/** A store's key as hexadecimal digits. */
function readKey(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw usageFor(file, cause);
  }
  const text = bytes.length === 32 ? bytes.toString('hex') : bytes.toString('latin1').trim().toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(text)) throw usage(`${file} is no key of a store`);
  return text;
}

const usageFor = (file: string, cause: unknown): CliError => new CliError(exitCode.usage, `cannot read ${file}`, cause);

function readIdentity(file: string): NodeIdentityFile {
  let value: unknown;
  try {
    if ((statSync(file).mode & 0o077) !== 0) throw usage(`${file} can be read by others; chmod 600 it`);
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw usageFor(file, cause);
  }
  try {
    return validate<NodeIdentityFile>('rest.json#/properties/identity', value, file);
  } catch (cause) {
    throw new CliError(exitCode.usage, `${file} holds no identity of a node`, cause);
  }
}

interface Found {
  readonly uuid: string;
  readonly hostname: string;
  /** Nothing but the identity is in it. */
  readonly isEmpty: boolean;
}

/** What the store says; null: there is none, or it does not know yet who the node is. */
function lookAt(store: string): Found | null {
  if (!existsSync(store)) return null;
  const db = openReader(store);
  try {
    const row = db.prepare('SELECT uuid, hostname FROM identity').get() as
      | { uuid: string; hostname: string }
      | undefined;
    const rows = db.prepare('SELECT (SELECT count(*) FROM instances) + (SELECT count(*) FROM operations)').pluck();
    return row ? { ...row, isEmpty: rows.get() === 0 } : null;
  } catch (cause) {
    throw failed(`${store} can't be read`, cause);
  } finally {
    db.close();
  }
}

async function importIdentity(context: Context): Promise<ExitCode> {
  const identity = readIdentity(context.args[0] ?? '');
  const directory = context.option('state-dir') ?? DEFAULT_STATE_DIR;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let lock: ReturnType<typeof lockState>;
  try {
    lock = lockState(directory);
  } catch (cause) {
    throw failed(`stop soc-daemon first: ${directory} is in use`, cause);
  }
  try {
    const store = join(directory, 'soc-daemon.db');
    const known = lookAt(store);
    if (known?.uuid === identity.uuid && known.hostname === identity.hostname) {
      context.note(`${directory} belongs to ${identity.hostname} already`);
      return exitCode.done;
    }
    if (known && !known.isEmpty) {
      throw failed(
        `${store} belongs to ${known.hostname} (${known.uuid}) and has instances or operations: it is left as it is`,
      );
    }
    if (known === null && existsSync(store))
      throw failed(`${store} is there, and does not say whose it is: move it away first`);
    const { store_key: key, ...rest } = identity;
    if (key !== undefined) writePrivate(join(directory, keyName), `${key}\n`);
    writePrivate(join(directory, importName), `${JSON.stringify(rest, null, 2)}\n`);
    // An identity that a start made by mistake; with no store the next start takes the one that was laid in.
    for (const suffix of ['', '-wal', '-shm']) rmSync(store + suffix, { force: true });
    for (const name of [importName, keyName, 'lock.db']) give(directory, name);
    context.note(`${identity.hostname} (${identity.uuid}) is laid in: the next start of soc-daemon takes it`);
    return exitCode.done;
  } finally {
    lock.release();
  }
}

/** What is laid in is the directory's owner's, as whom the daemon runs. */
function give(directory: string, name: string): void {
  const { uid, gid } = statSync(directory);
  const file = join(directory, name);
  if (existsSync(file) && statSync(file).uid !== uid) chownSync(file, uid, gid);
}

/** The commands. */
export const identityCommands: readonly Command[] = [
  {
    words: ['identity', 'export'],
    args: ['file'],
    options: [{ name: 'store-key', value: 'FILE', help: 'puts this key of the store in too' }],
    help: 'writes who the node is into a file for its owner alone',
    run: exportIdentity,
  },
  {
    words: ['identity', 'import'],
    args: ['file'],
    options: [stateDirOption],
    local: true,
    help: 'lays it in for the next start of soc-daemon, which must not run; leaves a store with instances as it is',
    run: importIdentity,
  },
];
