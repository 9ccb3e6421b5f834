import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { need, type TestSwitch } from './ovs.ts';
import { until } from './wait.ts';

const run = promisify(execFile);

/** Whether OVN is installed; as `haveOvs`. */
export function haveOvn(what: string): boolean {
  const there = existsSync('/usr/share/ovn/ovn-nb.ovsschema') && existsSync('/usr/bin/ovn-controller');
  return need(what, there, 'the Debian packages ovn-central and ovn-host');
}

/** A private OVN whose ovn-controller owns the flows of a switch's bridge. */
export interface TestOvn {
  /** ovn-nbctl; waits until ovn-controller has done it. */
  nbctl(...args: string[]): Promise<string>;
  sbctl(...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Starts OVN on a switch; ovn-controller works when this ends. */
export async function startOvn(ovs: TestSwitch): Promise<TestOvn> {
  const dir = join(ovs.dir, 'ovn');
  await mkdir(dir);
  const env = { ...process.env, OVS_RUNDIR: ovs.dir, OVN_RUNDIR: dir, OVN_DBDIR: dir, OVN_LOGDIR: dir };
  const children: { child: ChildProcess; gone: Promise<void> }[] = [];
  const killAll = (): void => {
    for (const { child } of children) child.kill('SIGKILL');
  };
  process.once('exit', killAll);

  function start(program: string, ...args: string[]): void {
    const child = spawn(program, [...args, '--no-chdir', '-vconsole:off'], { env, stdio: 'ignore' });
    const gone = Promise.withResolvers<void>();
    child.once('exit', () => gone.resolve());
    child.once('error', () => gone.resolve());
    children.push({ child, gone: gone.promise });
  }
  const call = async (program: string, ...args: string[]): Promise<string> =>
    (await run(program, args, { env, timeout: 30_000 })).stdout;

  for (const db of ['nb', 'sb']) {
    await call('ovsdb-tool', 'create', join(dir, `${db}.db`), `/usr/share/ovn/ovn-${db}.ovsschema`);
    const sockets = [`--remote=punix:${dir}/${db}.sock`, `--unixctl=${dir}/${db}.ctl`];
    start('ovsdb-server', join(dir, `${db}.db`), ...sockets);
    await until(`the ${db} database`, async () => existsSync(join(dir, `${db}.sock`)));
  }
  const nb = `unix:${dir}/nb.sock`;
  const sb = `unix:${dir}/sb.sock`;
  start('ovn-northd', `--ovnnb-db=${nb}`, `--ovnsb-db=${sb}`, `--unixctl=${dir}/northd.ctl`);
  const settings = {
    'system-id': 'test',
    'ovn-remote': sb,
    'ovn-encap-type': 'geneve',
    'ovn-encap-ip': '127.0.0.1',
    'ovn-bridge': ovs.bridge,
    'ovn-bridge-datapath-type': 'dummy',
  };
  const ids = Object.entries(settings).map(([key, value]) => `external_ids:${key}="${value}"`);
  await ovs.vsctl('set', 'Open_vSwitch', '.', ...ids);
  start('ovn-controller', ovs.ovsdb, `--pidfile=${dir}/controller.pid`);
  const nbctl = (...args: string[]): Promise<string> => call('ovn-nbctl', `--db=${nb}`, '--timeout=20', ...args);
  await nbctl('--wait=hv', 'sync');
  return {
    nbctl: (...args) => nbctl('--wait=hv', ...args),
    sbctl: (...args) => call('ovn-sbctl', `--db=${sb}`, '--timeout=20', ...args),
    async stop() {
      for (const { child, gone } of children.toReversed()) {
        child.kill('SIGKILL');
        await gone;
      }
      process.off('exit', killAll);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
