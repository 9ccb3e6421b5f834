/** The control plane's databases. Making their tables is the slow part of a first start, so the result is kept for the next. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { configFile } from './config-files.ts';
import type { StackLayout } from './layout.ts';
import { listens, type Programs, programEnvironment, StackError, trouble } from './programs.ts';

const NAMES = ['keystone', 'placement', 'glance', 'neutron', 'cinder', 'nova_api', 'nova_cell0', 'nova'] as const;

/** What the tables depend on. */
const PACKAGES = [
  'mariadb-server',
  'keystone',
  'placement-api',
  'glance-api',
  'neutron-server',
  'cinder-api',
  'nova-api',
  'nova-conductor',
] as const;

/** To be raised when the way in which the tables are made changes. */
const FORMAT = 1;

/**
 * Cells are named by templates that nova fills in from each service's own configuration (nova-manage cell_v2), so that the tables hold no
 * port and no password.
 */
const cellDatabase = (name: string): string => `{scheme}://{username}:{password}@{hostname}:{port}/${name}?{query}`;
const cellTransport = '{scheme}://{username}:{password}@{hostname}:{port}/{path}';

/** Starts MariaDB on the tables of the eight databases, from the cache where it has them. Answers whether it had; says before it makes them. */
export async function startDatabases(
  layout: StackLayout,
  programs: Programs,
  cache: string,
  say: (line: string) => void,
): Promise<boolean> {
  const data = join(layout.dir, 'mysql');
  const kept = join(cache, `mysql-${await tablesKey()}`);
  const fresh = !existsSync(join(data, 'mysql'));
  const cached = fresh && existsSync(kept);
  if (cached) await run('cp', ['-a', '--reflink=auto', '--sparse=always', kept, data]);
  else if (fresh) await installEmpty(layout, data);
  await startServer(layout, programs);
  if (fresh) await sql(layout, accountSql(layout));
  if (!existsSync(join(data, 'migrated'))) {
    say('tables: being made, which takes minutes and is done once');
    await migrate(layout);
    await programs.stop('mariadb', 60_000);
    await writeFile(join(data, 'migrated'), '');
    await keep(data, kept, cache);
    await startServer(layout, programs);
  }
  return cached;
}

/** Runs statements as the database's root, over its unix socket. */
export async function sql({ sockets }: StackLayout, statements: string): Promise<string> {
  const args = ['--no-defaults', '-S', join(sockets, 'mysql.sock'), '-u', 'root', '-N', '-B', '-e', statements];
  return await run('mariadb', args);
}

/** Runs one of the services' own tools; its output goes to `log/NAME.log`. @throws StackError with the log's end */
export async function manage(layout: StackLayout, name: string, argv: readonly [string, ...string[]]): Promise<string> {
  const [program, ...args] = argv;
  const log = join(layout.dir, 'log', `${name}.log`);
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, {
      env: programEnvironment(),
      timeout: 300_000,
      maxBuffer: 64 * 1024 * 1024,
    });
    await appendFile(log, `${stderr}${stdout}`);
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    await appendFile(log, `${stderr}${stdout}`);
    throw new StackError(`${argv.slice(0, 2).join(' ')} failed:\n${trouble(log)}`, { cause: error });
  }
}

async function startServer(layout: StackLayout, programs: Programs): Promise<void> {
  const argv = ['mariadbd', `--defaults-file=${configFile(layout, 'mariadb')}`] as const;
  programs.start({ name: 'mariadb', argv });
  await programs.ready('mariadb', () => listens(layout.ports.mariadb));
}

async function installEmpty(layout: StackLayout, data: string): Promise<void> {
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];
  const how = ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db'];
  await manage(layout, 'mariadb', ['mariadb-install-db', ...how, ...user]);
}

function accountSql({ password }: StackLayout): string {
  const databases = NAMES.map((name) => `CREATE DATABASE IF NOT EXISTS ${name} CHARACTER SET utf8;`);
  const who = "'openstack'@'127.0.0.1'";
  return [
    ...databases,
    `CREATE USER IF NOT EXISTS ${who};`,
    `ALTER USER ${who} IDENTIFIED BY '${password}';`,
    `GRANT ALL ON *.* TO ${who};`,
  ].join('\n');
}

/** Two at a time: that is what a small machine has cores for. */
async function migrate(layout: StackLayout): Promise<void> {
  const config = (name: 'keystone' | 'placement' | 'glance' | 'neutron' | 'ml2' | 'cinder' | 'nova'): string[] => [
    '--config-file',
    configFile(layout, name),
  ];
  const novaManage = (...args: readonly string[]): readonly [string, ...string[]] => [
    'nova-manage',
    ...config('nova'),
    ...args,
  ];
  const one: readonly (readonly [string, ...string[]])[] = [
    ['keystone-manage', ...config('keystone'), 'db_sync'],
    ['placement-manage', ...config('placement'), 'db', 'sync'],
    ['cinder-manage', ...config('cinder'), 'db', 'sync'],
    ['glance-manage', ...config('glance'), 'db_sync'],
  ];
  const other: readonly (readonly [string, ...string[]])[] = [
    novaManage('api_db', 'sync'),
    novaManage('cell_v2', 'map_cell0', '--database_connection', cellDatabase('nova_cell0')),
    novaManage(
      ...['cell_v2', 'create_cell', '--name', 'cell1', '--transport-url', cellTransport],
      ...['--database_connection', cellDatabase('nova')],
    ),
    novaManage('db', 'sync'),
    ['neutron-db-manage', ...config('neutron'), ...config('ml2'), 'upgrade', 'heads'],
  ];
  const all = async (log: string, commands: typeof one): Promise<void> => {
    for (const command of commands) await manage(layout, log, command);
  };
  await Promise.all([all('db-sync-1', one), all('db-sync-2', other)]);
}

/** Keeps the tables for the next stack, in place of those of other versions. */
async function keep(data: string, kept: string, cache: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const fresh = `${kept}.${process.pid}`;
  await run('cp', ['-a', '--reflink=auto', '--sparse=always', data, fresh]);
  await rm(kept, { recursive: true, force: true });
  await rename(fresh, kept);
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    if (/^mysql-[0-9a-f]+$/.test(name) && path !== kept) await rm(path, { recursive: true, force: true });
  }
}

async function tablesKey(): Promise<string> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const versions = await run('dpkg-query', ['-W', '-f', '${Package} ${Version}\\n', ...PACKAGES]);
  return createHash('sha256').update(`${FORMAT}\n${versions}`).digest('hex').slice(0, 16);
}

async function run(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(program, [...args], { env: programEnvironment(), timeout: 120_000 })).stdout;
  } catch (error) {
    const said = (error as { stderr?: string }).stderr ?? '';
    throw new StackError(`${program} failed: ${said.slice(-1000)}`, { cause: error });
  }
}

/** Whether all of the packages are there. */
export function hasPackages(): boolean {
  try {
    execFileSync('dpkg-query', ['-W', ...PACKAGES], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
