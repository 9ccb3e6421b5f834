import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '../../core/units.ts';
import { createSimWorld, type SimConnection, type SimWorld } from '../../drivers/sim/world.ts';
import { memoryWorldStore } from '../../drivers/sim/world-store.ts';
import { type SeededRandom, seededRandom } from '../support/seeded-random.ts';
import { type VirtualClock, virtualClock } from '../support/virtual-clock.ts';
import { checkAlways } from './checks.ts';
import { beginLife, type Life } from './life.ts';
import { createPlatform, type Platform } from './platform.ts';
import { type Request, type RequestPool, repeatKey } from './requests.ts';
import { createTrace, errorText, type Trace } from './trace.ts';

/** What a caller may change in a seed's run. */
export interface SeedOptions {
  readonly seed: number;
  readonly echo?: (line: string) => void;
  /** What the node's instances are; `BM` unless told. */
  readonly nodeType?: 'BM' | 'VM';
  /** Puts a bug between the daemon and the world: proves that the rules can see one. */
  readonly distort?: (ports: SimConnection) => SimConnection;
}

/** What the events of a seed share. */
export interface Scene {
  readonly nodeType: 'BM' | 'VM';
  readonly random: SeededRandom;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly world: SimWorld;
  readonly platform: Platform;
  readonly pool: RequestPool;
  /** Whether this seed loses its store at times. */
  readonly losesStore: boolean;
  /** Peers that are down, and how to start them. */
  readonly stopped: Map<string, () => void>;
  /** Requests sent so far, for repeats. */
  readonly sent: Request[];
  /** Operation that a key got, as long as the store is the same. */
  readonly promised: Map<string, { readonly request: Request; readonly operation: string }>;
  /** Ids of operations that were answered. */
  readonly accepted: Set<string>;
  /** How requests went, by outcome. */
  readonly outcomes: Map<string, number>;
  readonly failures: string[];
  life: Life;
  storeLost: boolean;
  /** The store is gone before the next life. */
  loseStoreNext: boolean;
  crashes: number;
  lives: number;
  /** Starts another life on the same store. */
  begin(): void;
  /** Takes the store away. */
  loseStore(): void;
  send(request: Request): void;
  count(outcome: string): void;
  /** The store's database. */
  readonly storeFile: string;
  close(): void;
}

const gib = 2 ** 30;

/** Makes a random world, and a first life in it. */
export function createScene({ seed, echo, distort, nodeType = 'BM' }: SeedOptions): Scene {
  const random = seededRandom(`sim ${seed}`);
  const clock = virtualClock({ turns: 2 });
  const trace = createTrace(clock, echo);
  const volumes = Array.from({ length: 1 + random.int(4) }, () => random.uuid());
  const losesStore = random.chance(0.25);
  const world = createSimWorld({
    clock,
    random: random.fork('world'),
    store: memoryWorldStore(),
    hypervisor: nodeType === 'VM',
    options: {
      ...(nodeType === 'VM' ? { host: { cpus: 16, memory_mib: 65_536 } } : {}),
      latency_ms: random.pick([0, 1, 5, 40, 300]),
      functions: 3 + random.int(14),
      images: { demo: { size_bytes: gib } },
      volumes: Object.fromEntries(volumes.map((id) => [id, { size_bytes: gib, bootable: random.chance(0.5) }])),
    },
    timing: {
      enumerationMs: random.pick([0, 20, 3000]),
      powerOnMs: random.pick([0, 500, 20_000]),
      shutdownMs: random.pick([0, 2000, 30_000]),
    },
  });
  const platform = createPlatform(clock, random.fork('platform'));
  const dir = mkdtempSync(join(tmpdir(), 'sim-seed-'));
  const pool: RequestPool = {
    random: random.fork('requests'),
    volumes,
    connections: !losesStore && random.chance(0.5),
    nodeType,
  };

  function begin(): void {
    scene.lives += 1;
    const own = random.fork(`life ${scene.lives}`);
    trace.add(`life ${scene.lives} begins`);
    scene.life = beginLife({
      world,
      connect: () => (distort ? distort(world.connect()) : world.connect()),
      onEffect() {
        const store = scene.life.state() === 'up' ? (scene.life.node()?.store ?? null) : null;
        scene.failures.push(...checkAlways(world, platform, store, { rowsKnown: !scene.storeLost, nodeType }));
      },
      onLate: (error) => scene.failures.push(`gave-up-while-stopping ${error}`),
      clock,
      dir,
      nodeType,
      random: own,
      log: trace.log,
      maxConcurrent: 1 + own.int(8),
      subnets: {
        net1: { cidr: '10.9.0.0/24', mac_prefix: 'fa:16:3e' },
        tiny: { cidr: '10.8.0.0/30', mac_prefix: 'fa:16:3e' },
      },
      adapters: (service, store, mortal) => [
        platform.adapter({ service, outbox: store, clock: mortal, random: own.fork('reporter'), log: trace.log }),
      ],
    });
  }

  function send(request: Request): void {
    const { life } = scene;
    const node = life.node();
    if (!node) return;
    scene.sent.push(request);
    trace.add(`request ${request.method} ${JSON.stringify(request.args)}`);
    const caller = { by: 'simulation' };
    node.service.submit(request.method, request.args as never, caller).then(
      (operation) => {
        trace.add(`  answer ${request.method} ${operation.id} ${operation.kind} ${operation.state}`);
        scene.accepted.add(operation.id);
        answered(scene, request, operation.id);
      },
      (error: unknown) => {
        if (life.state() === 'stopped') return; // the process has gone, and its caller knows no more
        trace.add(`  refused ${request.method} ${errorText(error)}`);
        refused(scene, request, error);
      },
    );
  }

  const scene: Scene = {
    nodeType,
    random,
    clock,
    trace,
    world,
    platform,
    pool,
    losesStore,
    stopped: new Map(),
    sent: [],
    promised: new Map(),
    accepted: new Set(),
    outcomes: new Map(),
    failures: [],
    life: undefined as unknown as Life,
    storeLost: false,
    loseStoreNext: false,
    crashes: 0,
    lives: 0,
    begin,
    send,
    count: (outcome) => scene.outcomes.set(outcome, (scene.outcomes.get(outcome) ?? 0) + 1),
    loseStore() {
      trace.add('the store is lost');
      rmSync(dir, { recursive: true, force: true });
      scene.storeLost = true;
      scene.promised.clear();
      scene.accepted.clear();
      platform.forgetGenerations();
    },
    storeFile: join(dir, 'soc-daemon.db'),
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
  begin();
  return scene;
}

const same = (one: JsonObject, other: JsonObject): boolean => {
  const { request_id: _one, ...left } = one;
  const { request_id: _other, ...right } = other;
  return JSON.stringify(left) === JSON.stringify(right);
};

/** A repeat must be answered with the operation of the first. */
function answered(scene: Scene, request: Request, operation: string): void {
  scene.count('accepted');
  const key = repeatKey(request);
  if (key === null) return;
  const before = scene.promised.get(key);
  if (!before) scene.promised.set(key, { request, operation });
  else if (before.operation !== operation) scene.failures.push(`repeat-got-another-operation ${key}`);
  else if (!same(before.request.args, request.args)) scene.failures.push(`other-arguments-accepted ${key}`);
  else scene.count('repeated');
}

/** A repeat of what was accepted is never refused. */
function refused(scene: Scene, request: Request, error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'not-ours';
  scene.count(`refused ${code}`);
  const ordered = error instanceof Error && error.message.endsWith('failed as ordered');
  if (code === 'not-ours' || (code === 'internal' && !ordered))
    scene.failures.push(`request-broke ${request.method} ${errorText(error)}`);
  const key = repeatKey(request);
  const before = key === null ? undefined : scene.promised.get(key);
  if (before && same(before.request.args, request.args) && before.request.method === request.method) {
    scene.failures.push(`repeat-refused ${key} ${errorText(error)}`);
  }
}
