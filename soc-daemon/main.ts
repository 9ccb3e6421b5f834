/** The daemon's composition root: with peers.ts the only file of it that names concrete classes. */

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DpuError } from '../core/errors.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { ComputeDriver, Machines } from '../core/ports/compute-driver.ts';
import type { HostConsole } from '../core/ports/host-console.ts';
import type { Log } from '../core/ports/log.ts';
import type { NodeStore } from '../core/ports/node-store.ts';
import type { Random } from '../core/ports/random.ts';
import type { InstanceId } from '../core/units.ts';
import type { BmDriverOptions } from '../drivers/bm/driver.ts';
import type { VmDriverOptions } from '../drivers/vm/driver.ts';
import { systemClock } from '../kit/clock.ts';
import { type LoadedConfig, loadConfig } from '../kit/config.ts';
import { readCredential, readSecretFile } from '../kit/credentials.ts';
import { createMetrics } from '../kit/metrics.ts';
import { runProgram } from '../kit/program.ts';
import { systemRandom } from '../kit/random.ts';
import { databaseError } from '../kit/sqlite.ts';
import manifest from '../package.json' with { type: 'json' };
import { consolePath } from './api/console-socket.ts';
import { type ApiAddress, createApi } from './api/create-api.ts';
import {
  openPlatform,
  openstackConfig,
  openstackCredentials,
  openstackTransportUrl,
  platformRequests,
} from './openstack.ts';
import { bmcPassword, checkPeers, openPeers } from './peers.ts';
import { createBiosKeeper } from './service/bios.ts';
import { fileNotes } from './service/check-files.ts';
import { clockProbe } from './service/clock-sync.ts';
import { hostConsoles, machineConsoles } from './service/consoles.ts';
import { createDaemon, type Daemon } from './service/daemon.ts';
import { watchDisk } from './service/disk.ts';
import { guestDefaults } from './service/guest.ts';
import { settleIdentity } from './service/identity.ts';
import { checkNames, forgetImportedIdentity, readImportedIdentity } from './service/identity-file.ts';
import { measure, timeCommits } from './service/measure.ts';
import { createOneTimeTokens } from './service/one-time-tokens.ts';
import { addressRange, createSubnetService } from './service/subnets.ts';
import { createConsoleLog, eraseConsoleLogs } from './store/console-log.ts';
import { loadStoreKey } from './store/key.ts';
import { openStore } from './store/store.ts';

/** How long a console's token is good before it is used, and how long the connection that it opened may last. */
const consoleTokenMs = 60_000;
const consoleSessionMs = 8 * 3_600_000;

/** Settings that a schema can't check. @throws DpuError `invalid`. */
function checkSettings(config: LoadedConfig): void {
  checkPeers(config);
  openstackConfig(config);
  for (const [name, subnet] of Object.entries(config.catalogue.subnets)) {
    addressRange(name, subnet);
  }
}

/** The broker's address with its password; null where the configuration has no broker. @throws DpuError. */
function transportUrl(config: LoadedConfig): string | null {
  if (!config.amqp || config.platform.kind !== 'amqp') return null;
  const file = config.amqp.transport_url_file;
  const url = file === undefined ? readCredential('transport-url') : readSecretFile(file);
  if (url === null) {
    throw new DpuError('invalid', 'amqp needs transport_url_file, or the systemd credential transport-url', {
      field: 'amqp.transport_url_file',
    });
  }
  return url;
}

/** What a start by this user would not find; a systemd credential is only there inside of the unit. */
function missingSecrets(config: LoadedConfig): readonly string[] {
  const { tcp } = config.rest;
  const files = [config.store.key_file, tcp?.token_file, tcp?.key_file].filter((file) => file !== undefined);
  const bmc = config.host.kind === 'bmc' ? [() => bmcPassword(config)] : [];
  const openstack = openstackConfig(config);
  const platform = openstack ? [() => openstackTransportUrl(openstack), () => openstackCredentials(openstack)] : [];
  const checks = [() => transportUrl(config), ...platform, ...bmc, ...files.map((file) => () => readSecretFile(file))];
  return checks.flatMap((check) => {
    try {
      check();
      return [];
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  });
}

async function bmDriver(options: BmDriverOptions): Promise<ComputeDriver> {
  const { createBmDriver } = await import('../drivers/bm/driver.ts');
  return createBmDriver(options);
}

async function vmDriver(options: VmDriverOptions): Promise<ComputeDriver> {
  const { createVmDriver } = await import('../drivers/vm/driver.ts');
  return createVmDriver(options);
}

/** The consoles of the host or its machines, shared and logged, and the tokens that open them; null where there are none. */
function openConsoles(parts: {
  readonly source: HostConsole | null;
  readonly machines: Machines | null;
  readonly store: Pick<NodeStore, 'liveInstances'>;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}) {
  const { source, machines, store, stateDir, clock, random, log } = parts;
  const directory = resolve(stateDir, 'console');
  const live = new Set<string>(store.liveInstances().map(({ id }) => id));
  eraseConsoleLogs(directory, (id) => live.has(id));
  const logOf = (id: InstanceId) => createConsoleLog(directory, id, log);
  let address: ApiAddress | undefined;
  const tokens = createOneTimeTokens<InstanceId>(clock, random, { livesMs: consoleTokenMs, capacity: 1000 });
  const hub = machines
    ? machineConsoles({ machines, logOf, clock, log })
    : source && hostConsoles({ console: source, logOf, clock, log });
  if (hub === null) return null;
  return {
    hub,
    history: hub.history,
    tokens,
    desk: { redeem: tokens.redeem, join: hub.join, history: hub.history },
    listensAt(listening: ApiAddress): void {
      address = listening;
    },
    url(token: string): string {
      const path = `${consolePath}?token=${token}`;
      if (address?.url) return `${address.url.replace(/^http/, 'ws')}${path}`;
      return `ws+unix://${address?.socket ?? ''}:${path}`;
    },
  };
}

/** Why nothing can be made there: mkdir with `recursive` says ENOENT on a read-only file system. */
function whyNot(directory: string): unknown {
  let above = dirname(directory);
  while (!existsSync(above)) above = dirname(above);
  try {
    accessSync(above, constants.W_OK);
    return undefined;
  } catch (error) {
    return error;
  }
}

function makeStateDir(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw databaseError(whyNot(directory) ?? error, `making the state directory ${directory}`);
  }
}

async function start(config: LoadedConfig, log: Log): Promise<{ stop(): Promise<void>; daemon: Daemon }> {
  const url = transportUrl(config); // first: nothing is stored yet if it can't be read
  const clock = systemClock;
  const random = systemRandom;
  const metrics = createMetrics();
  makeStateDir(config.state_dir);
  const fatal = (error: unknown): void => {
    log.error('nothing can be journaled any more; the daemon ends and goes on at its next start', { error });
    process.exit(1);
  };
  const file = resolve(config.state_dir, 'soc-daemon.db');
  const key = loadStoreKey({
    stateDir: config.state_dir,
    firstStart: !existsSync(file),
    ...(config.store.key_file === undefined ? {} : { keyFile: config.store.key_file }),
  });
  const store = await openStore({
    file,
    key,
    clock,
    random,
    mode: 'flushed',
    onFailure: fatal,
    hooks: timeCommits(metrics, clock),
    // a platform that takes reports has all of them anew when it is connected
    ...(url === null ? { outboxCap: 0 } : {}),
  });
  const peers = await openPeers({ config, clock, random, log });
  const { snic, storage, power } = peers;
  const imported = readImportedIdentity(config.state_dir);
  checkNames(config, imported);
  const identity = await settleIdentity({ store, snic, random, clock, log, configured: config.node, imported });
  const network = await peers.openNetwork(identity.uuid, store);
  const disk = watchDisk({
    directory: config.state_dir,
    lowMib: config.disk.low_mib,
    fullMib: config.disk.full_mib,
  });
  const nodeType = peers.agent ? 'VM' : 'BM';
  const platform = await openPlatform({
    config,
    uuid: identity.uuid,
    nodeType,
    key,
    clock,
    random,
    log,
    onFatal: fatal,
  });
  const binder = platform?.binder(network) ?? network;
  const networks = platform?.networks ?? createSubnetService(store, config.catalogue.subnets);
  const volumes = platform?.volumes(peers.volumes) ?? peers.volumes;
  const bios = createBiosKeeper({ bios: peers.bios, store, policy: config.host.bios, clock, log });
  if (imported?.bios_baseline) await bios.adopt(imported.bios_baseline);
  if (imported) forgetImportedIdentity(config.state_dir);
  const made = { snic, binder, storage, volumes, networks, node: identity.uuid };
  const driver = peers.agent
    ? await vmDriver({ ...made, agent: peers.agent })
    : await bmDriver({ ...made, power, bios });
  const machines = driver.machines ?? null;
  const consoles = openConsoles({
    source: peers.console,
    machines,
    store,
    stateDir: config.state_dir,
    clock,
    random,
    log,
  });
  const amqp = url === null ? null : await import('../platform-adapter/amqp/adapter.ts');
  const daemon = createDaemon({
    consoles,
    store,
    identity,
    driver,
    peers: { snic, binder, storage, volumes, networks },
    flavors: config.catalogue.flavors,
    guests: {
      ...guestDefaults,
      configDrive: config.instances.config_drive,
      rescueImage: config.instances.rescue_image ?? null,
      ...(config.storage.kind === 'spdk' && config.storage.backing === 'lvols' ? { wipes: ['none', 'discard'] } : {}),
    },
    clock,
    random,
    log,
    limits: {
      maxConcurrent: config.operations.max_concurrent,
      drainMs: config.operations.drain_ms,
      reconcileIntervalMs: config.reconcile.interval_s * 1000,
      retainMs: config.retention.days * 86_400_000,
      maxOperations: config.retention.max_operations,
    },
    bios,
    initiator: { hostNqn: config.storage.host_nqn ?? null, initiatorIqn: config.storage.initiator_iqn },
    probes: [disk.look, ...(config.clock.check === 'off' ? [] : [clockProbe(clock)])],
    restrictedHost: config.functions.restricted_host,
    admit: disk.admit,
    onPeerRestart: (listener) => peers.onPeerRestart(listener),
    adapters: (service) =>
      platform
        ? [platform.adapter(service, { serial: consoles?.desk ?? null, screens: machines })]
        : amqp === null || url === null || !config.amqp
          ? []
          : [
              amqp.createAmqpAdapter({
                service,
                outbox: store,
                config: config.amqp,
                reportIntervalMs: config.reports.interval_s * 1000,
                transportUrl: url,
                hostname: identity.hostname,
                clock,
                random,
                log,
              }),
            ],
    onFatal: fatal,
  });
  const api = createApi({
    service: daemon.service,
    config: config.rest,
    clock,
    log,
    metrics,
    version: manifest.version,
    ...(consoles === null ? {} : { consoles: { desk: consoles.desk, sessionMs: consoleSessionMs } }),
    ...(platform ? platformRequests(platform, store) : {}),
    readiness: () => {
      const { ready, not_ready_reasons: reasons } = daemon.service.nodeStatus();
      return { ready, reasons };
    },
  });
  const unmeasure = measure({ daemon, store, metrics });
  const address = await api.listen();
  consoles?.listensAt(address);
  log.info('REST interface listens', { socket: address.socket, url: address.url });
  await daemon.start();
  return {
    daemon,
    async stop() {
      unmeasure();
      await Promise.all([daemon.stop(), api.close(config.operations.drain_ms)]);
      await platform?.close();
      await store.close();
      await peers.close();
    },
  };
}

await runProgram({
  name: 'soc-daemon',
  version: manifest.version,
  load: (file) => loadConfig(file, checkSettings),
  notes: (config) => [...missingSecrets(config), ...fileNotes(config, systemClock.wallMs())],
  start,
});
