import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'amqplib';
import { freePort } from './free-port.ts';

/** How to start a private RabbitMQ broker. */
export type BrokerOptions = {
  /** Folder for everything the broker writes; made when absent. A second start in it keeps data, port and account. */
  readonly dir: string;
  /** TCP port on 127.0.0.1; a free one when absent. */
  readonly port?: number;
  /** Leave the broker running when this process ends. Default false. */
  readonly detached?: boolean;
  /** How long to wait for the first AMQP connection, in ms. Default 60000. */
  readonly readyMs?: number;
  /** Told of the process as soon as there is one, so that it can be ended whatever happens next. */
  readonly onSpawn?: (pid: number) => Promise<void> | void;
};

/** A broker that runs; the same document is kept in `broker.json` (mode 0600) of its folder. */
export type Broker = {
  /** `rabbit://user:password@127.0.0.1:port/`, as oslo.messaging's transport_url. */
  readonly url: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly pid: number;
  /** Erlang node name; told by the process's command line, so that an old pid file never hits a stranger. */
  readonly node: string;
  readonly dir: string;
};

/** The mark of a test run (tools/marked-processes.mjs): what it starts must carry it. */
const RUN_MARK = 'DPU_COMPUTE_RUN';

const binaries = ['/usr/lib/rabbitmq/bin/rabbitmq-server', '/usr/local/lib/rabbitmq/bin/rabbitmq-server'];

/** The broker's start script, or undefined when RabbitMQ is not installed. The wrapper in sbin is not used: it wants root or its own user. */
export function findRabbitServer(): string | undefined {
  return binaries.find((file) => existsSync(file));
}

/**
 * Starts a RabbitMQ of its own and waits until AMQP answers. It has one listener, AMQP on 127.0.0.1: Erlang's
 * distribution does not listen and no epmd is started, so a system broker is neither needed nor touched, and
 * `rabbitmqctl` cannot reach it. The account is random and reaches the broker through a file of mode 0600.
 * @throws Error when RabbitMQ is absent, ends early or is not ready in time (the end of its log is in the message).
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const script = findRabbitServer();
  if (script === undefined) throw new Error(`rabbitmq-server is not installed (looked for ${binaries.join(', ')})`);
  const dir = path.resolve(options.dir);
  await mkdir(path.join(dir, 'home'), { recursive: true, mode: 0o700 });
  const before = await readBroker(dir);
  if (before !== undefined && isRunning(before)) throw new Error(`a broker runs already in ${dir}, pid ${before.pid}`);
  const port = options.port ?? before?.port ?? (await freePort());
  const user = before?.user ?? `u${randomBytes(4).toString('hex')}`;
  const password = before?.password ?? randomBytes(16).toString('hex');
  const node = before?.node ?? `dpu${randomBytes(6).toString('hex')}@127.0.0.1`;
  await writeSecret(path.join(dir, 'rabbitmq.conf'), configText(port, user, password));
  const child = await spawnBroker(script, dir, node, options.detached ?? false);
  if (child.pid === undefined) throw new Error('rabbitmq-server could not be started');
  const url = `rabbit://${user}:${password}@127.0.0.1:${port}/`;
  const broker: Broker = { url, port, user, password, pid: child.pid, node, dir };
  await writeSecret(path.join(dir, 'broker.json'), JSON.stringify(broker));
  try {
    await options.onSpawn?.(child.pid);
    await waitReady(child, broker, options.readyMs ?? 60_000);
  } catch (error) {
    await stopBroker(broker, { hard: true });
    throw error;
  }
  if (options.detached) child.unref();
  return broker;
}

/**
 * Ends a broker by its pid, only if that process still is this broker; returns when it is gone. May be called twice.
 * `hard` kills at once (as a power loss would); else SIGTERM, and SIGKILL after 20 s.
 */
export async function stopBroker(broker: Broker, options: { readonly hard?: boolean } = {}): Promise<void> {
  const start = performance.now();
  let signal: NodeJS.Signals = options.hard ? 'SIGKILL' : 'SIGTERM';
  let sent: NodeJS.Signals | undefined;
  while (isRunning(broker)) {
    if (sent !== signal) {
      process.kill(broker.pid, signal);
      sent = signal;
    }
    await sleep(25);
    const waited = performance.now() - start;
    if (waited > 20_000) signal = 'SIGKILL';
    if (waited > 40_000) throw new Error(`broker ${broker.pid} does not end`);
  }
}

/** The broker last started in `dir`, running or not; undefined when there was none. */
export async function readBroker(dir: string): Promise<Broker | undefined> {
  const file = path.join(path.resolve(dir), 'broker.json');
  if (!existsSync(file)) return undefined;
  return JSON.parse(await readFile(file, 'utf8')) as Broker;
}

/** Forgets queues, exchanges and messages of a stopped broker; the account comes back at the next start. */
export async function wipeBroker(broker: Broker): Promise<void> {
  if (isRunning(broker)) throw new Error('the broker still runs');
  await rm(path.join(broker.dir, 'mnesia'), { recursive: true, force: true });
}

/** Whether the process with the broker's pid is alive and is that broker. */
export function isRunning(broker: Pick<Broker, 'pid' | 'node'>): boolean {
  try {
    process.kill(broker.pid, 0);
    const fs = process.getBuiltinModule('node:fs');
    return fs.readFileSync(`/proc/${broker.pid}/cmdline`, 'utf8').includes(broker.node);
  } catch {
    return false; // no such process, or not ours
  }
}

function configText(port: number, user: string, password: string): string {
  return `${[
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    `default_user = ${user}`,
    `default_pass = ${password}`,
    'log.console = false',
    'log.file.level = info',
    'disk_free_limit.absolute = 1MB',
    'collect_statistics_interval = 60000',
  ].join('\n')}\n`;
}

async function spawnBroker(script: string, dir: string, node: string, detached: boolean): Promise<ChildProcess> {
  await writeFile(path.join(dir, 'enabled_plugins'), '[].\n');
  const output = await open(path.join(dir, 'output.log'), 'w', 0o600);
  try {
    return spawn(script, [], {
      cwd: dir,
      detached,
      stdio: ['ignore', output.fd, output.fd],
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        HOME: path.join(dir, 'home'),
        LANG: 'C.UTF-8',
        ...(process.env[RUN_MARK] === undefined ? {} : { [RUN_MARK]: process.env[RUN_MARK] }),
        detached: 'true', // the script then replaces itself with Erlang, so that its pid is the broker's
        ERL_AFLAGS: '-start_epmd false -erl_epmd_port 1 -dist_listen false',
        RABBITMQ_NODENAME: node,
        RABBITMQ_USE_LONGNAME: 'true',
        // A node that has its name from the start skips the broker's own search for epmd.
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `-name ${node}`,
        RABBITMQ_CONF_ENV_FILE: '/dev/null',
        RABBITMQ_CONFIG_FILE: path.join(dir, 'rabbitmq.conf'),
        RABBITMQ_ADVANCED_CONFIG_FILE: path.join(dir, 'advanced.config'),
        RABBITMQ_MNESIA_BASE: path.join(dir, 'mnesia'),
        RABBITMQ_LOG_BASE: path.join(dir, 'log'),
        RABBITMQ_ENABLED_PLUGINS_FILE: path.join(dir, 'enabled_plugins'),
        RABBITMQ_PID_FILE: path.join(dir, 'rabbitmq.pid'),
        RABBITMQ_FEATURE_FLAGS_FILE: path.join(dir, 'mnesia', 'feature_flags'),
      },
    });
  } finally {
    await output.close();
  }
}

async function waitReady(child: ChildProcess, broker: Broker, readyMs: number): Promise<void> {
  const deadline = performance.now() + readyMs;
  let last: unknown;
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    try {
      const connection = await connect(
        { hostname: '127.0.0.1', port: broker.port, username: broker.user, password: broker.password },
        { timeout: 5000 },
      );
      await connection.close();
      return;
    } catch (error) {
      last = error;
      await sleep(100);
    }
  }
  const log = await readFile(path.join(broker.dir, 'output.log'), 'utf8').catch(() => '');
  throw new Error(`RabbitMQ did not become ready: ${log.slice(-800)}`, { cause: last });
}

async function writeSecret(file: string, text: string): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  await chmod(file, 0o600);
}
