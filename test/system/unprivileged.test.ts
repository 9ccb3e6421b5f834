/** The daemon needs no rights: it does its work as a user that has none. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const node = join(root, 'node_modules/.bin/node');
const main = join(root, 'soc-daemon/main.ts');
/** `nobody` and `nogroup` of Debian. */
const nobody = 65_534;
const noCapabilities = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'];

let dir: string | undefined;
let child: ChildProcess | undefined;

afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  if (dir) rmSync(dir, { recursive: true, force: true });
});

/**
 * How the daemon is started without rights: who runs the tests as nobody special is that already; root becomes nobody,
 * or, where the checkout is root's alone, a root without a single capability.
 */
function withoutRights(): { readonly prefix: readonly string[]; readonly uid: number } {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return { prefix: [], uid };
  const asNobody = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', ...noCapabilities];
  const readable = spawnSync('setpriv', [...asNobody, 'test', '-r', main]).status === 0;
  return readable
    ? { prefix: ['setpriv', ...asNobody], uid: nobody }
    : { prefix: ['setpriv', ...noCapabilities], uid: 0 };
}

/** Ends with the first line of the log that says the node is up. */
async function up(daemon: ChildProcess): Promise<void> {
  if (!daemon.stderr) throw new Error('the daemon has no log');
  const said: string[] = [];
  for await (const line of createInterface({ input: daemon.stderr })) {
    said.push(line);
    if (line.includes('"node is up"')) return;
  }
  throw new Error(`the daemon ended: ${said.join('\n')}`);
}

it('builds and destroys an instance without any right of its own', async () => {
  const { prefix, uid } = withoutRights();
  dir = mkdtempSync(join(tmpdir(), 'unprivileged-'));
  const config = join(dir, 'config.yaml');
  writeFileSync(
    config,
    'profile: sim\nnode: {hostname: modest}\nstate_dir: state\ncatalogue: {subnets: {net1: {cidr: 10.9.0.0/24}}}\n',
  );
  chmodSync(config, 0o644);
  if (uid !== process.getuid?.()) chownSync(dir, uid, uid);
  const [command = node, ...args] = [...prefix, node, main, '--config', config];
  child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  await up(child);
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  expect(status).toMatch(new RegExp(`^Uid:\\s+${uid}\\s`, 'm'));
  expect(status).toMatch(/^CapEff:\s+0+$/m);
  const socket = join(dir, 'state/rest.sock');
  const dpuctl = (...words: string[]): string =>
    execFileSync(node, [join(root, 'soc-daemon/cli/main.ts'), '--socket', socket, '--no-progress', ...words], {
      encoding: 'utf8',
      timeout: 30_000,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  dpuctl('instance', 'build', '--name', 'one', '--flavor', '4c8g', '--image', 'demo', '--network', 'subnet=net1');
  expect(dpuctl('instance', 'list')).toMatch(/one\s+active\s+up/);
  dpuctl('instance', 'destroy', 'one');
  expect(dpuctl('function', 'list', '-o', 'json')).not.toContain('"id"');
});
