/** A real Ceph of one node behind Cinder, on loopback, without systemd, devices or kernel modules: monitor, manager, and an OSD in a sparse file. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ini } from './ini.ts';
import type { StackLayout } from './layout.ts';
import { listens, type Programs, programEnvironment, StackError } from './programs.ts';

/** The pool of Cinder's volumes. */
export const CEPH_POOL = 'volumes';

/** Where the cluster's configuration is: `CEPH_CONF` of its tools. */
export function cephConf({ dir }: StackLayout): string {
  return join(dir, 'ceph/ceph.conf');
}

/** The key of Cinder's user, and the cluster's id, which is Cinder's `secret_uuid`. */
export async function cephSecret({ dir }: StackLayout): Promise<{ readonly fsid: string; readonly key: string }> {
  const keyring = await readFile(join(dir, 'ceph/ceph.client.cinder.keyring'), 'utf8');
  const key = /^\s*key\s*=\s*(\S+)/m.exec(keyring)?.[1];
  if (key === undefined) throw new StackError('the keyring of client.cinder has no key');
  return { fsid: (await readFile(join(dir, 'ceph/fsid'), 'utf8')).trim(), key };
}

/** Runs one of Ceph's tools on the stack's cluster and answers its output. @throws StackError */
export async function cephTool(layout: StackLayout, program: string, ...args: readonly string[]): Promise<string> {
  try {
    const env = programEnvironment({ CEPH_CONF: cephConf(layout) });
    return (await promisify(execFile)(program, [...args], { env, timeout: 120_000 })).stdout;
  } catch (error) {
    const said = (error as { stderr?: string }).stderr ?? '';
    throw new StackError(`${program} failed: ${said.slice(-1000)}`, { cause: error });
  }
}

/** Starts what of it does not run; ends when the pool serves I/O. @throws StackError */
export async function startCeph(layout: StackLayout, programs: Programs): Promise<void> {
  const at = (...names: readonly string[]): string => join(layout.dir, 'ceph', ...names);
  const run = (program: string, ...args: readonly string[]): Promise<string> => cephTool(layout, program, ...args);
  const conf = cephConf(layout);
  if (['mon', 'mgr', 'osd'].every((name) => programs.isRunning(`ceph-${name}`))) return;
  const isNew = !existsSync(at('made'));
  for (const name of ['run', 'log', 'mon', 'mgr', 'osd']) await mkdir(at(name), { recursive: true, mode: 0o700 });
  if (!existsSync(at('fsid'))) await writeFile(at('fsid'), randomUUID());
  await writeFile(conf, cephConfig(layout, await readFile(at('fsid'), 'utf8')));
  if (isNew) await makeMonitor(layout, at, run);
  const daemon = (name: string, ...args: readonly string[]): void =>
    void programs.start({ name: `ceph-${name}`, argv: [`ceph-${name}`, '-f', '-c', conf, ...args] });
  daemon('mon', '-i', 'a', '--keyring', at('mon/keyring'));
  await programs.ready('ceph-mon', () => listens(layout.ports.ceph), 30_000);
  if (isNew) await makeOsd(at, run, conf);
  // Cinder asks it how much is free
  daemon('mgr', '-i', 'x', '--keyring', at('mgr/keyring'));
  daemon('osd', '-i', '0', '--keyring', at('osd/keyring'));
  await programs.ready('ceph-osd', async () => (await run('ceph', 'osd', 'stat')).includes('1 up'), 60_000);
  if (isNew) {
    await run('ceph', 'osd', 'pool', 'create', CEPH_POOL, '8');
    await run('ceph', 'osd', 'pool', 'application', 'enable', CEPH_POOL, 'rbd');
    await writeFile(at('made'), '');
  }
  await run('rbd', '-p', CEPH_POOL, 'ls'); // blocks until the pool serves I/O
}

/** Ends it; the storage first. */
export async function stopCeph(programs: Programs): Promise<void> {
  for (const name of ['ceph-osd', 'ceph-mgr', 'ceph-mon']) await programs.stop(name);
}

type At = (...names: readonly string[]) => string;
type Run = (program: string, ...args: readonly string[]) => Promise<string>;

async function makeMonitor(layout: StackLayout, at: At, run: Run): Promise<void> {
  const keyring = async (file: string, name: string, caps: Readonly<Record<string, string>>): Promise<void> => {
    const flags = Object.entries(caps).flatMap(([daemon, allow]) => ['--cap', daemon, allow]);
    await run('ceph-authtool', '-C', at(file), '--gen-key', '-n', name, ...flags);
  };
  const all = 'allow *';
  const rbd = 'profile rbd';
  await keyring('mon.keyring', 'mon.', { mon: all });
  await keyring('ceph.client.admin.keyring', 'client.admin', { mon: all, osd: all, mgr: all });
  await keyring('mgr/keyring', 'mgr.x', { mon: 'allow profile mgr', osd: all });
  await keyring('osd/keyring', 'osd.0', { mon: 'allow profile osd', mgr: 'allow profile osd', osd: all });
  await keyring('ceph.client.cinder.keyring', 'client.cinder', { mon: rbd, osd: rbd, mgr: rbd });
  await copyFile(at('mon.keyring'), at('mkfs.keyring'));
  for (const name of ['ceph.client.admin.keyring', 'mgr/keyring', 'osd/keyring', 'ceph.client.cinder.keyring']) {
    await run('ceph-authtool', at('mkfs.keyring'), '--import-keyring', at(name));
  }
  const fsid = await readFile(at('fsid'), 'utf8');
  await run('monmaptool', '--create', '--clobber', '--fsid', fsid, '--addv', 'a', monitors(layout), at('monmap'));
  const how = ['--monmap', at('monmap'), '--keyring', at('mkfs.keyring')];
  await run('ceph-mon', '-i', 'a', '-c', cephConf(layout), '--mkfs', ...how);
  await copyFile(at('mon.keyring'), at('mon/keyring'));
}

async function makeOsd(at: At, run: Run, conf: string): Promise<void> {
  const uuid = randomUUID();
  const secret = (await run('ceph-authtool', '-p', '-n', 'osd.0', at('osd/keyring'))).trim();
  await writeFile(at('osd/secret.json'), JSON.stringify({ cephx_secret: secret }), { mode: 0o600 });
  await run('ceph', 'osd', 'new', uuid, '0', '-i', at('osd/secret.json'));
  await run('ceph-osd', '-i', '0', '-c', conf, '--mkfs', '--osd-uuid', uuid, '--keyring', at('osd/keyring'));
}

function monitors({ ports }: StackLayout): string {
  return `[v2:127.0.0.1:${ports.ceph2},v1:127.0.0.1:${ports.ceph}]`;
}

/** Small, with one replica, and with no promise for the day the machine fails. */
function cephConfig(layout: StackLayout, fsid: string): string {
  const at = (name: string): string => join(layout.dir, 'ceph', name);
  const modules =
    'alerts,cephadm,dashboard,diskprediction_local,influx,insights,iostat,k8sevents,localpool,mds_autoscaler,mirroring,nfs,' +
    'osd_perf_query,osd_support,prometheus,restful,rook,selftest,snap_schedule,stats,telegraf,test_orchestrator,zabbix';
  return ini({
    global: {
      fsid,
      mon_initial_members: 'a',
      mon_host: monitors(layout),
      public_addr: '127.0.0.1',
      cluster_addr: '127.0.0.1',
      ms_bind_ipv6: false,
      ms_async_op_threads: 2,
      auth_cluster_required: 'cephx',
      auth_service_required: 'cephx',
      auth_client_required: 'cephx',
      auth_allow_insecure_global_id_reclaim: false,
      keyring: at('$cluster.$name.keyring'),
      run_dir: at('run'),
      admin_socket: at('run/$name.asok'),
      log_file: at('log/$name.log'),
      mon_cluster_log_file: at('log/cluster.log'),
      crash_dir: at('crash'),
      pid_file: '',
      osd_pool_default_size: 1,
      osd_pool_default_min_size: 1,
      osd_pool_default_pg_autoscale_mode: 'off',
      osd_crush_chooseleaf_type: 0,
      mon_allow_pool_size_one: true,
      mon_allow_pool_delete: true,
      mon_warn_on_pool_no_redundancy: false,
      mon_max_pg_per_osd: 1000,
      mon_data_avail_warn: 2,
      mon_data_avail_crit: 1,
    },
    mon: { mon_data: at('mon'), mon_cpu_threads: 1, rocksdb_cache_size: 16_777_216 },
    mgr: { mgr_data: at('mgr'), mgr_initial_modules: '', mgr_disabled_modules: modules },
    osd: {
      osd_data: at('osd'),
      osd_objectstore: 'bluestore',
      bluestore_block_create: true,
      bluestore_block_size: 10 * 1024 ** 3,
      bluestore_cache_autotune: false,
      bluestore_cache_size: 64 * 1024 ** 2,
      osd_memory_target: 896 * 1024 ** 2,
      osd_op_num_shards: 2,
      osd_op_num_threads_per_shard: 1,
    },
    client: { log_file: '', admin_socket: '' },
  });
}
