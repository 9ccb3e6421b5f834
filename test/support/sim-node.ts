import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { HostBios } from '../../core/ports/host-bios.ts';
import { type Log, silentLog } from '../../core/ports/log.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import type { Random } from '../../core/ports/random.ts';
import type { BmDeadlines } from '../../drivers/bm/deadlines.ts';
import { createBmDriver } from '../../drivers/bm/driver.ts';
import type { SimConnection, SimWorld } from '../../drivers/sim/world.ts';
import { createVmDriver } from '../../drivers/vm/driver.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { type BiosPolicy, createBiosKeeper } from '../../soc-daemon/service/bios.ts';
import { createDaemon, type Daemon, type DaemonParts } from '../../soc-daemon/service/daemon.ts';
import { type GuestDefaults, guestDefaults } from '../../soc-daemon/service/guest.ts';
import type { HealthProbe } from '../../soc-daemon/service/health.ts';
import { settleIdentity } from '../../soc-daemon/service/identity.ts';
import { type CatalogueSubnet, createSubnetService } from '../../soc-daemon/service/subnets.ts';
import { openStore, type StoreOptions } from '../../soc-daemon/store/store.ts';

/** One life of a daemon, all but its sockets, on a simulated world. */
export interface SimNode {
  readonly daemon: Daemon;
  readonly service: ComputeService;
  readonly store: NodeStore;
  readonly connection: SimConnection;
  /** Ends it in good order. */
  stop(): Promise<void>;
}

/** How a life begins; what is left out is the machine's own. */
export interface SimNodeOptions {
  readonly world: SimWorld;
  /** State directory; a fresh temporary one unless told. */
  readonly dir?: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
  readonly hostname?: string;
  readonly store?: Partial<Omit<StoreOptions, 'file' | 'clock'>>;
  /** Puts something between the daemon and its store: a death in the middle, a fault. */
  readonly wrapStore?: (store: NodeStore) => NodeStore;
  readonly adapters?: (service: ComputeService, store: NodeStore) => readonly PlatformAdapter[];
  readonly subnets?: Readonly<Record<string, CatalogueSubnet>>;
  readonly maxConcurrent?: number;
  readonly reconcileIntervalMs?: number;
  readonly deadlines?: Partial<BmDeadlines>;
  /** `VM`: the world must be a hypervisor's. Default: `BM`. */
  readonly nodeType?: 'BM' | 'VM';
  readonly onFatal?: (error: unknown) => void;
  /** null: as with IPMI alone. */
  readonly bios?: HostBios | null;
  readonly biosPolicy?: Partial<BiosPolicy>;
  readonly probes?: readonly HealthProbe[];
  readonly restrictedHost?: 'ignore' | 'warn' | 'require';
  readonly admit?: DaemonParts['admit'] & {};
}

/** A key for tests; 32 bytes. */
export const testKey = Buffer.alloc(32, 7);

/** Hashes of passwords without a process, which a virtual clock can't wait for. */
export const testGuests: GuestDefaults = {
  ...guestDefaults,
  hashPassword: (text) => Promise.resolve(`$6$test$${createHash('sha256').update(text).digest('hex')}`),
};

/** A subnet with some 250 addresses. */
export const testSubnets = { net1: { cidr: '10.9.0.0/24', mac_prefix: 'fa:16:3e' } } as const;

/** Starts a life: opens the store, settles the identity, goes on with what was left. */
export async function startSimNode(options: SimNodeOptions): Promise<SimNode> {
  const { world, clock = systemClock, random = systemRandom, log = silentLog } = options;
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'sim-node-'));
  const opened = await openStore({
    key: testKey,
    mode: 'inline',
    durability: 'off',
    random,
    ...options.store,
    file: join(dir, 'soc-daemon.db'),
    clock,
  });
  const store = options.wrapStore?.(opened) ?? opened;
  const connection = world.connect();
  const { snic, network: binder, storage, volumes, power, agent } = connection;
  const bios = createBiosKeeper({
    bios: options.bios === undefined ? connection.bios : options.bios,
    store,
    policy: { restore: true, ignore: [], ...options.biosPolicy },
    clock,
    log,
  });
  const identity = await settleIdentity({
    store,
    snic,
    random,
    clock,
    log,
    configured: { hostname: options.hostname ?? 'sim-node' },
  });
  const networks = createSubnetService(store, options.subnets ?? testSubnets);
  const made = {
    snic,
    binder,
    storage,
    volumes,
    networks,
    power,
    bios,
    node: identity.uuid,
    ...(options.deadlines ? { deadlines: options.deadlines } : {}),
  };
  const driver = options.nodeType === 'VM' ? createVmDriver({ ...made, agent }) : createBmDriver({ ...made, power });
  const daemon = createDaemon({
    consoles: null,
    store,
    identity,
    driver,
    peers: { snic, binder, storage, volumes, networks },
    flavors: { '4c8g': { vcpus: 4, memory_mib: 8192 } },
    guests: testGuests,
    clock,
    random,
    log,
    limits: {
      maxConcurrent: options.maxConcurrent ?? 8,
      drainMs: 1000,
      reconcileIntervalMs: options.reconcileIntervalMs ?? 60_000,
      retainMs: 30 * 86_400_000,
      maxOperations: 10_000,
    },
    bios,
    probes: options.probes ?? [],
    restrictedHost: options.restrictedHost ?? 'warn',
    ...(options.admit ? { admit: options.admit } : {}),
    onPeerRestart: (listener) => world.onPeerRestart(listener),
    adapters: (service) => options.adapters?.(service, store) ?? [],
    onFatal:
      options.onFatal ??
      ((error) => {
        throw error;
      }),
  });
  await daemon.start();
  return {
    daemon,
    service: daemon.service,
    store,
    connection,
    async stop() {
      await daemon.stop();
      await store.close();
      if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}
