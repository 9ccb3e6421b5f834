/** The units, users and directories of an installed tree, read by systemd's own tools in a staged root. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../kit/config.ts';
import configSchema from '../../schemas/config.json' with { type: 'json' };
import { loadSnicConfig } from '../../snic-controller/config.ts';
import { controllerNodeFlags, daemonNodeFlags } from '../../tools/daemon-flags.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const tree = '/usr/lib/dpu-compute';
const unitFolder = 'usr/lib/systemd/system';
const units = readdirSync(join(project, 'systemd')).filter((name) => name.endsWith('.service'));
const text = (unit: string): string => readFileSync(join(project, 'systemd', unit), 'utf8');

/** Values of a setting, in the order of the file. */
function settings(unit: string, name: string): string[] {
  const lines = text(unit).split('\n');
  return lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
}

/** Whether systemd's tools are there; with CI set their absence is a failure. */
function haveSystemd(): boolean {
  const there = spawnSync('systemd-analyze', ['--version'], { stdio: 'ignore' }).status === 0;
  if (!there && process.env.CI) throw new Error('the test of the units needs the Debian package systemd');
  if (!there) process.stderr.write('test of the units skipped: the Debian package systemd is not installed\n');
  return there;
}

function run(command: string, args: readonly string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, SYSTEMD_COLORS: '0', LC_ALL: 'C.UTF-8' },
  });
  return { status, said: stderr + stdout };
}

describe.skipIf(!haveSystemd())('systemd/', () => {
  let root: string;

  function stage(path: string, content = ''): void {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'systemd-'));
    // The distribution's units: ours depend on its targets.
    cpSync('/usr/lib/systemd/system', join(root, unitFolder), { recursive: true, verbatimSymlinks: true });
    for (const unit of units) stage(join(unitFolder, unit), text(unit));
    stage(join(tree, 'node_modules/.bin/node'), '#!/bin/sh\n');
    chmodSync(join(root, tree, 'node_modules/.bin/node'), 0o755);
    mkdirSync(join(root, 'etc'));
    for (const kind of ['sysusers.d', 'tmpfiles.d']) {
      cpSync(join(project, 'systemd', kind), join(root, 'usr/lib', kind), { recursive: true });
    }
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const verify = (unit: string) =>
    run('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', `--root=${root}`, unit]);

  it('has a unit for each program', () => {
    expect(units.sort()).toEqual(['snic-controller.service', 'soc-daemon.service']);
  });

  it.each(units)('%s is understood to the last line', (unit) => {
    expect(verify(unit)).toEqual({ status: 0, said: '' });
  });

  it('finds a setting that systemd does not know, and a program that is not there', () => {
    stage(join(unitFolder, 'soc-daemon.service'), text('soc-daemon.service').replace('ProtectProc=', 'ProtectProcs='));
    expect(verify('soc-daemon.service').said).toContain("Unknown key 'ProtectProcs'");
    rmSync(join(root, tree, 'node_modules/.bin/node'));
    expect(verify('snic-controller.service')).toMatchObject({ status: 1 });
  });

  // Tenths; what systemd itself calls OK ends at 4.0. The controller needs the card's devices and root.
  it.each([
    ['soc-daemon.service', 13],
    ['snic-controller.service', 25],
  ])('%s is exposed by at most %i tenths', (unit, tenths) => {
    const { status, said } = run('systemd-analyze', [
      'security',
      '--no-pager',
      '--offline=yes',
      `--root=${root}`,
      `--threshold=${tenths}`,
      unit,
    ]);
    expect({ status, said }).toMatchObject({ status: 0 });
  });

  it('gives capabilities to the controller alone', () => {
    expect(settings('soc-daemon.service', 'CapabilityBoundingSet')).toEqual(['']);
    expect(settings('soc-daemon.service', 'User')).toEqual(['dpu-compute']);
    expect(settings('snic-controller.service', 'CapabilityBoundingSet')).toEqual(['CAP_NET_ADMIN CAP_SYS_ADMIN']);
    for (const unit of units) {
      expect(settings(unit, 'AmbientCapabilities')).toEqual(['']);
      expect(settings(unit, 'NoNewPrivileges')).toEqual(['yes']);
    }
  });

  it('starts programs by the Node of the tree', () => {
    expect(existsSync(join(project, 'node_modules/.bin/node'))).toBe(true);
    for (const unit of units) {
      const [command = ''] = settings(unit, 'ExecStart');
      const program = unit.replace('.service', '');
      expect(command.split(' ')).toEqual([
        `${tree}/node_modules/.bin/node`,
        ...(program === 'soc-daemon' ? daemonNodeFlags : controllerNodeFlags),
        `${tree}/${program}/main.js`,
        '--config',
        `/etc/dpu-compute/${program}.yaml`,
      ]);
    }
    for (const unit of units) expect(existsSync(join(project, unit.replace('.service', '/main.ts')))).toBe(true);
  });

  it('gives the controller what its example configuration writes to, and the daemon looks for', () => {
    const example = join(project, 'systemd/snic-controller.example.yaml');
    const main = join(project, 'snic-controller/main.ts');
    expect(run(process.execPath, [main, '--config', example, '--check-config'])).toMatchObject({ status: 0 });
    const { state_dir: state, socket } = loadSnicConfig(example);
    expect(state).toBe(`/var/lib/${settings('snic-controller.service', 'StateDirectory')[0]}`);
    expect(dirname(socket.path)).toBe(`/run/${settings('snic-controller.service', 'RuntimeDirectory')[0]}`);
    expect(socket.path).toBe(configSchema.properties.functions.properties.socket.default);
    expect(settings('snic-controller.service', 'Group')).toEqual(settings('soc-daemon.service', 'Group'));
  });

  it('leaves more time to stop than the daemon drains', () => {
    const drainMs = configSchema.properties.operations.properties.drain_ms.default;
    expect(settings('soc-daemon.service', 'KillSignal')).toEqual(['SIGTERM']);
    expect(Number(settings('soc-daemon.service', 'TimeoutStopSec')[0]) * 1000).toBeGreaterThan(drainMs * 2);
  });

  it('gives the daemon nothing but state and runtime directory to write, where its example configuration writes', () => {
    const example = join(project, 'systemd/soc-daemon.example.yaml');
    const main = join(project, 'soc-daemon/main.ts');
    expect(run(process.execPath, [main, '--config', example, '--check-config'])).toMatchObject({ status: 0 });
    const { state_dir: state, rest, amqp } = loadConfig(example);
    expect(state).toBe(`/var/lib/${settings('soc-daemon.service', 'StateDirectory')[0]}`);
    expect(dirname(rest.socket)).toBe(`/run/${settings('soc-daemon.service', 'RuntimeDirectory')[0]}`);
    // where dpuctl looks when nothing is said
    expect(readFileSync(join(project, 'soc-daemon/cli/run.ts'), 'utf8')).toContain(`'${rest.socket}'`);
    // the secrets come as credentials
    expect(amqp).not.toHaveProperty('transport_url_file');
    const credentials = settings('soc-daemon.service', 'LoadCredential').map((each) => each.split(':')[0]);
    expect(credentials).toEqual(['transport-url', 'store-key', 'bmc-password', 'openstack-password']);
    expect(settings('soc-daemon.service', 'ReadWritePaths')).toEqual([]);
  });

  it('makes the user that the units name, who can not log in', () => {
    expect(run('systemd-sysusers', [`--root=${root}`])).toMatchObject({ status: 0 });
    const users = readFileSync(join(root, 'etc/passwd'), 'utf8').split('\n');
    expect(users.find((line) => line.startsWith('dpu-compute:'))).toMatch(
      /:\/var\/lib\/dpu-compute:\/usr\/sbin\/nologin$/,
    );
    expect(readFileSync(join(root, 'etc/group'), 'utf8')).toContain('dpu-compute:x:');
  });

  // Directories of others' cannot be made without root.
  it.skipIf(process.getuid?.() !== 0)('makes directories that nobody else may read', () => {
    execFileSync('systemd-sysusers', [`--root=${root}`], { stdio: 'ignore' });
    stage('etc/dpu-compute/soc-daemon.yaml', 'profile: sim\n');
    expect(run('systemd-tmpfiles', [`--root=${root}`, '--create', 'dpu-compute.conf'])).toEqual({
      status: 0,
      said: '',
    });
    const mode = (path: string): string => (statSync(join(root, path)).mode & 0o777).toString(8);
    expect(mode('etc/dpu-compute')).toBe('750');
    expect(mode('etc/dpu-compute/soc-daemon.yaml')).toBe('640');
    expect(mode('etc/credstore')).toBe('700');
    const group = readFileSync(join(root, 'etc/group'), 'utf8').match(/^dpu-compute:x:(\d+):/m)?.[1];
    expect(String(statSync(join(root, 'etc/dpu-compute')).gid)).toBe(group);
  });
});
