import { resolve } from 'node:path';
import { createTransport, type Logger, type QueueFlags, type RpcServer, type Transport } from 'oslo-messaging';
import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Machines } from '../../core/ports/compute-driver.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { ConsoleDesk } from '../../core/ports/host-console.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NetworkBinder } from '../../core/ports/network-binder.ts';
import type { NetworkService } from '../../core/ports/network-service.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import type { Random } from '../../core/ports/random.ts';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import type { PlatformRequest } from '../../schemas/generated/rest.ts';
import { createConsoleBackends } from './console/backends.ts';
import { type ConsoleSettings, consoleCalls } from './console/console-calls.ts';
import { machineScreens } from './console/screens.ts';
import { serialConsoles } from './console/serial-consoles.ts';
import { createExternalEvents } from './flows/external-events.ts';
import type { FlowParts, FlowSettings, Services } from './flows/flow.ts';
import { createFlowService, type FlowService } from './flows/service.ts';
import { flowTable, innerFlows } from './flows/table.ts';
import { createNodeHooks } from './hooks.ts';
import { createNeutronNetworks } from './networks.ts';
import { type NovaNode, startNovaNode } from './node/nova-node.ts';
import type { NodeSettings } from './node/settings.ts';
import { usageAudit } from './node/usage-audit.ts';
import { createServerNotifier, type NotificationFormat } from './notifications/notifier.ts';
import { createPluggedBinder } from './plugged-binder.ts';
import { requestView } from './request-view.ts';
import { createCinder } from './rest/cinder.ts';
import { createGlance } from './rest/glance.ts';
import { createHttpClient } from './rest/http.ts';
import { type Caller, createKeystone, type KeystoneSettings } from './rest/keystone.ts';
import { createNeutron } from './rest/neutron.ts';
import { createPlacement } from './rest/placement.ts';
import { computeCalls } from './rpc/calls.ts';
import { serveCompute } from './rpc/server.ts';
import { openFlowStore } from './store.ts';
import { strandedTask } from './stranded.ts';
import { createCinderVolumes } from './volumes.ts';
import { createNovaRpc, topicClients } from './wire/conductor.ts';
import { type ReleaseName, releaseOf } from './wire/releases.ts';

/** How the control plane is reached. Secrets are in it. */
export interface OpenstackSettings {
  readonly release: ReleaseName;
  readonly keystone: KeystoneSettings;
  /** PEM file of the services' CAs; null: the system's. */
  readonly caFile: string | null;
  /** Deadline of one call of a REST service, in milliseconds. */
  readonly callTimeoutMs: number;
  /** nova's transport_url, with its password. */
  readonly transportUrl: string;
  readonly flags: QueueFlags;
  readonly heartbeatSec: number;
  readonly prefetch: number;
  readonly maxBodyBytes: number;
  readonly node: NodeSettings;
  readonly flows: FlowSettings;
  readonly consoles: ConsoleSettings;
  readonly notifications: NotificationFormat;
  /** nova's instance_usage_audit: each period's usage is told when it is over. */
  readonly usageAudit: boolean;
}

/** What of the instances can be looked at. */
export interface NodeConsoles {
  /** Serial consoles; null: the node has none. */
  readonly serial: Pick<ConsoleDesk, 'join'> | null;
  /** Screens of machines; null: the node has none. */
  readonly screens: Pick<Machines, 'vncAddress'> | null;
}

/** What the adapter works with. */
export interface OpenstackParts {
  readonly settings: OpenstackSettings;
  readonly stateDir: string;
  /** The key that what is stored is sealed with: the store's. */
  readonly key: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The journal failed: nothing may go on. */
  readonly onFatal: (error: unknown) => void;
}

/** A node's place in an OpenStack cloud. */
export interface Openstack {
  /** Ports as the node's instances see them. */
  readonly networks: NetworkService;
  /** Volumes as the node's instances see them: those on the node, and Cinder's. */
  volumes(local: VolumeService): VolumeService;
  /** The switch, whose ports count as bound when Neutron says so. */
  binder(binder: NetworkBinder): NetworkBinder;
  /** The adapter, for the use cases that were made with `networks` and `volumes`; once. */
  adapter(
    service: ComputeService,
    consoles: NodeConsoles,
  ): PlatformAdapter & { readonly flows: Pick<FlowService, 'list' | 'retry' | 'counts'> };
  /** What nova asked for, newest first, as operators see it. */
  requests(limit: number): readonly PlatformRequest[];
  /** Goes on with one that is stuck. @throws `not_found`, `bad_state`. */
  retry(id: string): Promise<void>;
  /** Closes the journal and the connections, after the adapter was stopped. */
  close(): Promise<void>;
}

/** Flows that run at once: most of them wait for others. */
const maxFlows = 64;

/** Makes the clients and opens the journal; asks nobody before the adapter starts. @throws DpuError of the journal. */
export function openOpenstack(parts: OpenstackParts): Openstack {
  const { settings, clock, random } = parts;
  const log = parts.log.child({ adapter: 'openstack' });
  const http = createHttpClient({
    clock,
    random,
    log,
    tls: { caFile: settings.caFile },
    timeoutMs: settings.callTimeoutMs,
  });
  const keystone = createKeystone(settings.keystone, { http, clock });
  const servicesOf = (caller: Caller): Services => ({
    neutron: createNeutron(caller, clock),
    cinder: createCinder(caller, clock),
    glance: createGlance(caller, clock),
  });
  const services = servicesOf(keystone);
  const store = openFlowStore({ file: resolve(parts.stateDir, 'openstack.db'), key: parts.key, clock });

  let running: FlowService | undefined;

  function adapter(service: ComputeService, consoles: NodeConsoles): ReturnType<Openstack['adapter']> {
    const release = releaseOf(settings.release);
    const { host } = settings.node;
    const placement = createPlacement(keystone);
    const events = createExternalEvents(clock);
    const transport = createTransport({
      url: settings.transportUrl,
      heartbeatSec: settings.heartbeatSec,
      connectionName: `nova-compute:${host}`,
      logger: pinoLike(log),
      random: random.unit,
    });
    const nova = createNovaRpc(release, topicClients(transport, settings.flags));
    const notifier = createServerNotifier(transport, settings.flags, { format: settings.notifications, host });
    let node: NovaNode | undefined;
    let server: RpcServer | undefined;
    let failedBuilds = 0;
    const flowParts: FlowParts = {
      nova,
      services,
      asUser: ({ token }, projectId) => servicesOf(keystone.withUserToken({ token, projectId })),
      placement,
      compute: service,
      settings: settings.flows,
      notifier,
      events,
      resourcesChanged: () => node?.refresh(),
      buildEnded(succeeded) {
        failedBuilds = succeeded ? 0 : failedBuilds + 1;
      },
      clock,
      random,
      log,
    };
    const flows = createFlowService({
      store,
      flows: flowParts,
      table: flowTable,
      maxConcurrent: maxFlows,
      onFatal: parts.onFatal,
    });
    running = flows;
    let unsubscribe = (): void => {};
    const shown = { ...settings.consoles, clock, log };
    const serial =
      consoles.serial && createConsoleBackends(shown, serialConsoles({ consoles: consoles.serial, clock, log }));
    const screens = consoles.screens && {
      vncAddress: consoles.screens.vncAddress,
      backends: createConsoleBackends(shown, machineScreens({ screens: consoles.screens, log })),
    };
    const backends = [serial, screens?.backends].filter((each) => each != null);
    // a console ends with its instance
    const unfollow = service.subscribe(({ type }) => {
      if (type !== 'instance') return;
      for (const kind of backends) for (const each of kind.instances()) if (!isThere(service, each)) kind.forget(each);
    });

    async function serve(signal: AbortSignal): Promise<void> {
      flows.start();
      server = serveCompute({
        transport,
        flags: settings.flags,
        release,
        nova,
        host,
        prefetch: settings.prefetch,
        maxBodyBytes: settings.maxBodyBytes,
        flows,
        casts: Object.keys(flowTable).filter((method) => !innerFlows.has(method)),
        calls: computeCalls({
          service,
          flows,
          events,
          clock,
          driver: settings.flows.nodeType === 'BM' ? 'ironic' : 'libvirt',
          consoles: consoleCalls({ nova, service, settings: settings.consoles, serial, screens }),
          setHostEnabled: (enabled, stop) =>
            node === undefined ? Promise.resolve('disabled') : node.setHostEnabled(enabled, stop),
        }),
        log,
      });
      await server.ready(signal);
    }

    return {
      name: 'openstack',
      flows,
      async start() {
        unsubscribe = followConnection(transport, log, () => node?.reconnected());
        const hooks = createNodeHooks({ nova, host, service, flows, serve, clock, random, log });
        const period = settings.flows.usageAuditPeriod;
        const found = strandedTask({
          nova,
          placement,
          host,
          node: settings.node.node,
          flows,
          service,
          clock,
          random,
          log,
        });
        const audit =
          notifier !== null && settings.usageAudit
            ? [usageAudit({ nova, notifier, host, period, clock, random, log })]
            : [];
        node = startNovaNode({
          rpc: nova,
          placement,
          service,
          settings: settings.node,
          failedBuilds: () => failedBuilds,
          hooks: { ...hooks, tasks: [...(hooks.tasks ?? []), found, ...audit] },
          clock,
          random,
          log,
        });
      },
      async stop(drainMs) {
        await node?.stop();
        // side by side: what is accepted meanwhile is journaled, and begins at the next start
        await Promise.all([server?.stop({ drainMs }), flows.stop(drainMs)]);
        unsubscribe();
        unfollow();
        for (const each of backends) each.close();
        await notifier?.close();
        await nova.close();
        await transport.close();
      },
      connected: () => transport.state === 'connected' && (node?.reporting() ?? false),
      trouble: () => node?.trouble() ?? null,
    };
  }

  return {
    networks: createNeutronNetworks(services.neutron),
    binder: (binder) => {
      const timeoutMs = settings.flows.vifPluggingTimeoutMs;
      return createPluggedBinder(binder, { neutron: services.neutron, timeoutMs, clock });
    },
    volumes: (local) => createCinderVolumes(local, services.cinder, settings.flows.connector),
    adapter,
    requests: (limit) => store.list(limit).map(requestView),
    retry: (id) =>
      running?.retry(id) ?? Promise.reject(new DpuError('unavailable', 'the daemon has not taken up its requests yet')),
    async close() {
      await store.close();
      keystone.close();
      http.close();
    },
  };
}

/** Whether the node has the instance, and is not taking it away. */
function isThere(service: Pick<ComputeService, 'getInstance'>, instance: string): boolean {
  try {
    const { state } = service.getInstance(instance);
    return state !== 'deleted' && state !== 'deleting';
  } catch {
    return false; // the node does not know it any more
  }
}

/** Tells the log when the broker comes and goes, once each. */
function followConnection(transport: Transport, log: Log, connected: () => void): () => void {
  let away = false;
  const noteAway = (error: Error | null): void => {
    if (!away) log.warn('the broker is away; the node works on and tries again', { error });
    away = true;
  };
  const unsubscribe = [
    transport.on('connected', () => {
      log.info('the broker is connected');
      away = false;
      connected();
    }),
    transport.on('disconnected', ({ error }) => noteAway(error)),
    transport.on('error', (error) => {
      if (transport.state !== 'connected') noteAway(error);
      else log.warn('the broker refuses a queue or an exchange; are the settings as the platform has them?', { error });
    }),
  ];
  return () => {
    for (const end of unsubscribe) end();
  };
}

/** The package's logger says fields first, ours the message. What an operator should know of is told by the events, once. */
function pinoLike(log: Log): Logger {
  return {
    debug: (fields, message) => log.debug(message, fields),
    info: (fields, message) => log.debug(message, fields),
    warn: (fields, message) => log.debug(message, fields),
    error: (fields, message) => log.error(message, fields),
  };
}
