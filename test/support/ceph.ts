import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exec } from '../../kit/exec.ts';
import { freePort } from '../../tools/free-port.ts';

/** A Ceph of one node on loopback, without systemd, devices or kernel modules: a monitor and an OSD in a sparse file. */
export interface TestCeph {
  readonly monitor: { readonly host: string; readonly port: string };
  readonly pool: string;
  readonly user: string;
  /** The key of `user`. */
  readonly key: string;
  /** Runs rbd(8) in the pool and answers its output. */
  rbd(...args: readonly string[]): Promise<string>;
  close(): Promise<void>;
}

/** Whether Debian's packages ceph-mon and ceph-osd are there. They are large, so nobody is asked to have them. */
export function haveCeph(what: string): boolean {
  const there = ['/usr/bin/ceph-mon', '/usr/bin/ceph-osd', '/usr/bin/ceph'].every((path) => existsSync(path));
  if (!there) process.stderr.write(`${what}: NOT RUN, not installed: ceph-mon, ceph-osd, ceph-common\n`);
  return there;
}

/** Starts one and waits until its pool serves I/O: some ten seconds. */
export async function startCeph(): Promise<TestCeph> {
  const dir = await mkdtemp(join(tmpdir(), 'ceph-'));
  const [v1, v2, low] = [await freePort(), await freePort(), await freePort()];
  const file = (name: string): string => join(dir, name);
  const fsid = randomUUID();
  const conf = file('ceph.conf');
  const children: ChildProcess[] = [];
  for (const name of ['run', 'log', 'mon', 'osd']) await mkdir(file(name));
  await writeFile(conf, config(dir, fsid, `[v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]`, low));

  const run = async (program: string, args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await exec(program, args, {
      timeoutMs: 120_000,
      env: { CEPH_CONF: conf },
      ...(input === undefined ? {} : { input }),
    });
    if (code !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.slice(-2000)}`);
    return stdout;
  };
  const ceph = (...args: readonly string[]): Promise<string> => run('ceph', ['--connect-timeout', '30', ...args]);
  const key = async (path: string, name: string, ...caps: readonly string[]): Promise<void> => {
    const pairs = caps.map((cap) => cap.split('=')).flatMap(([daemon = '', allow = '']) => ['--cap', daemon, allow]);
    await run('ceph-authtool', ['-C', file(path), '--gen-key', '-n', name, ...pairs]);
  };
  const start = async (name: string, argv: readonly [string, ...string[]]): Promise<void> => {
    const log = await open(file(`log/${name}.out`), 'a');
    const [program, ...args] = argv;
    children.push(spawn(program, args, { stdio: ['ignore', log.fd, log.fd] }));
    await log.close();
  };
  const close = async (): Promise<void> => {
    for (const child of children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(dir, { recursive: true });
  };

  try {
    await key('mon.keyring', 'mon.', 'mon=allow *');
    await key('ceph.client.admin.keyring', 'client.admin', 'mon=allow *', 'osd=allow *', 'mgr=allow *');
    await key('osd/keyring', 'osd.0', 'mon=allow profile osd', 'mgr=allow profile osd', 'osd=allow *');
    await key('ceph.client.cinder.keyring', 'client.cinder', 'mon=profile rbd', 'osd=profile rbd');
    await copyFile(file('mon.keyring'), file('mkfs.keyring'));
    for (const name of ['ceph.client.admin.keyring', 'osd/keyring', 'ceph.client.cinder.keyring']) {
      await run('ceph-authtool', [file('mkfs.keyring'), '--import-keyring', file(name)]);
    }
    const address = `[v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]`;
    await run('monmaptool', ['--create', '--clobber', '--fsid', fsid, '--addv', 'a', address, file('monmap')]);
    await run('ceph-mon', [
      '-i',
      'a',
      '-c',
      conf,
      '--mkfs',
      '--monmap',
      file('monmap'),
      '--keyring',
      file('mkfs.keyring'),
    ]);
    await copyFile(file('mon.keyring'), file('mon/keyring'));
    await start('mon', ['ceph-mon', '-f', '-i', 'a', '-c', conf, '--keyring', file('mon/keyring')]);
    await listening(v1);
    const secret = (await run('ceph-authtool', ['-p', '-n', 'osd.0', file('osd/keyring')])).trim();
    const osd = randomUUID();
    await run(
      'ceph',
      ['--connect-timeout', '60', 'osd', 'new', osd, '0', '-i', '-'],
      JSON.stringify({ cephx_secret: secret }),
    );
    await run('ceph-osd', ['-i', '0', '-c', conf, '--mkfs', '--osd-uuid', osd, '--keyring', file('osd/keyring')]);
    await start('osd', ['ceph-osd', '-f', '-i', '0', '-c', conf, '--keyring', file('osd/keyring')]);
    await ceph('osd', 'pool', 'create', 'volumes', '8');
    await ceph('osd', 'pool', 'application', 'enable', 'volumes', 'rbd');
    // blocks until the pool serves I/O
    await run('rbd', ['-p', 'volumes', 'ls']);
    const cinder = /^\s*key\s*=\s*(\S+)/m.exec(await readFile(file('ceph.client.cinder.keyring'), 'utf8'))?.[1] ?? '';
    return {
      monitor: { host: '127.0.0.1', port: String(v1) },
      pool: 'volumes',
      user: 'cinder',
      key: cinder,
      rbd: (...args) => run('rbd', ['-p', 'volumes', ...args]),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function config(dir: string, fsid: string, monHost: string, lowPort: number): string {
  const low = Math.min(lowPort, 65_000);
  const settings = {
    global: [
      `fsid = ${fsid}`,
      'mon_initial_members = a',
      `mon_host = ${monHost}`,
      ...[
        'public_addr = 127.0.0.1',
        'cluster_addr = 127.0.0.1',
        `ms_bind_port_min = ${low}`,
        `ms_bind_port_max = ${low + 200}`,
      ],
      ...['auth_cluster_required = cephx', 'auth_service_required = cephx', 'auth_client_required = cephx'],
      'auth_allow_insecure_global_id_reclaim = false',
      `keyring = ${dir}/$cluster.$name.keyring`,
      ...[`run_dir = ${dir}/run`, `admin_socket = ${dir}/run/$name.asok`, `log_file = ${dir}/log/$name.log`],
      ...[`mon_cluster_log_file = ${dir}/log/cluster.log`, `crash_dir = ${dir}`, 'pid_file ='],
      ...['osd_pool_default_size = 1', 'osd_pool_default_min_size = 1', 'osd_pool_default_pg_num = 8'],
      ...[
        'osd_pool_default_pg_autoscale_mode = off',
        'osd_crush_chooseleaf_type = 0',
        'mon_allow_pool_size_one = true',
      ],
      ...['mon_warn_on_pool_no_redundancy = false', 'mon_max_pg_per_osd = 1000', 'mon_data_avail_crit = 1'],
    ],
    mon: [`mon_data = ${dir}/mon`],
    osd: [
      `osd_data = ${dir}/osd`,
      ...['osd_objectstore = bluestore', 'bluestore_block_create = true', 'bluestore_block_size = 2147483648'],
      ...['bluestore_cache_autotune = false', 'bluestore_cache_size = 67108864', 'osd_memory_target = 939524096'],
    ],
    client: ['log_file =', 'admin_socket ='],
  };
  return Object.entries(settings)
    .map(([section, lines]) => `[${section}]\n${lines.join('\n')}\n`)
    .join('');
}

/** Waits until somebody listens at a port of loopback. */
async function listening(port: number): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(50);
    } finally {
      socket.destroy();
    }
  }
}
