import type { ErrorCode } from '../../core/errors.ts';
import type { FaultKind, SimPeer } from '../../drivers/sim/faults.ts';
import { changed, randomRequest } from './requests.ts';
import type { Scene } from './scene.ts';
import { errorText } from './trace.ts';

type Event = readonly [weight: number, name: string, run: (scene: Scene) => void];

const peersOf = {
  BM: ['snic', 'ovs', 'storage', 'volume', 'power'],
  VM: ['snic', 'ovs', 'storage', 'volume', 'agent'],
} as const;

const methods: Readonly<Record<SimPeer, readonly string[]>> = {
  snic: ['describe', 'ensureFunction', 'plugFunction', 'unplugFunction', 'releaseFunction', 'listFunctions'],
  ovs: ['bind', 'unbind', 'list'],
  storage: ['attach', 'detach', 'list'],
  volume: ['getVolume', 'getImage', 'ensureVolumeFromImage', 'deleteVolume', 'connect', 'disconnect', 'listMadeFor'],
  power: ['getPower', 'powerOn', 'powerOff', 'setNextBoot', 'inventory'],
  agent: [
    'defineDomain',
    'undefineDomain',
    'startDomain',
    'shutdownDomain',
    'destroyDomain',
    'attachDevice',
    'listDomains',
  ],
};

const callFaults: readonly FaultKind[] = ['slow', 'slow', 'hang', 'fail-once', 'fail', 'fail-always', 'lost-answer'];
const codes: readonly ErrorCode[] = [
  'unavailable',
  'unavailable',
  'timeout',
  'busy',
  'hardware',
  'internal',
  'exhausted',
];

function orderFault({ world, random, trace, nodeType }: Scene): void {
  const peers = peersOf[nodeType];
  if (random.chance(0.25)) {
    const kind = random.pick([
      'not-enumerated',
      'bdf-changes',
      'not-released',
      'ignores-soft-off',
      'unhealthy',
    ] as const);
    const vm = nodeType === 'VM' && (kind === 'ignores-soft-off' || (kind === 'not-released' && random.chance(0.5)));
    const port = vm ? 'agent' : kind === 'ignores-soft-off' ? 'power' : kind === 'unhealthy' ? 'ovs' : 'snic';
    const ms = random.chance(0.6) ? { ms: random.int(60_000) } : {};
    const times = kind === 'not-released' && random.chance(0.7) ? { times: 1 + random.int(3) } : {};
    world.faults.order({ port, method: '*', kind, ...ms, ...times });
    trace.add(`  ${port} ${kind} ${JSON.stringify({ ...ms, ...times })}`);
    return;
  }
  const port = random.pick(peers);
  const kind = random.pick(callFaults);
  const method = random.chance(0.15) ? '*' : random.pick(methods[port]);
  const times = kind === 'fail-always' ? {} : { times: 1 + random.int(kind === 'fail' ? 40 : 3) };
  const ms = kind === 'slow' ? { ms: random.pick([50, 3000, 45_000, 200_000]) } : {};
  const code = kind.startsWith('fail') ? { code: random.pick(codes) } : {};
  const skip = random.chance(0.5) ? {} : { skip: random.int(4) };
  world.faults.order({ port, method, kind, ...times, ...ms, ...code, ...skip });
  trace.add(`  ${port} ${method} ${kind} ${JSON.stringify({ ...times, ...ms, ...code, ...skip })}`);
}

function plant({ world, random, trace }: Scene): void {
  const id = random.uuid();
  const kind = random.pick(['function', 'port', 'volume', 'attachment', 'export'] as const);
  trace.add(`  foreign ${kind} ${id}`);
  switch (kind) {
    case 'function': {
      const taken = new Set(world.state.functions.rows().map(({ slot }) => slot));
      if (taken.has(2) || taken.has(0)) return; // a card that is full takes no foreign function either
      world.plantForeign({ kind, id: `x-${id}` as never, class: 'virtio-net', plugged: random.chance(0.5) });
      return;
    }
    case 'port':
      world.plantForeign({ kind, portId: id as never, representor: `eth${id.slice(0, 4)}` });
      return;
    case 'volume':
      world.plantForeign({ kind, id: id as never, sizeBytes: 1 });
      return;
    case 'attachment':
      world.plantForeign({ kind, functionId: `y-${id}` as never, volumeId: id as never });
      return;
    case 'export':
      world.plantForeign({ kind: 'volume', id: id as never, sizeBytes: 1 });
      world.plantForeign({ kind, volumeId: id as never, node: random.uuid() as never, instance: id as never });
      return;
  }
}

function operationCall(scene: Scene, what: 'cancelOperation' | 'retryOperation'): void {
  const { life, random, trace } = scene;
  const node = life.node();
  if (!node) return;
  const unended = node.store.unendedOperations();
  const all = node.store.listOperations({}, { limit: 20, cursor: null }).operations;
  const from = unended.length > 0 && random.chance(0.85) ? unended : all;
  if (from.length === 0) return;
  const { id } = random.pick(from);
  trace.add(`  ${what} ${id}`);
  node.service[what](id, { by: 'simulation' }).then(
    (operation) => {
      scene.count(what);
      trace.add(`  ${what} ${id} is ${operation.state}`);
    },
    (error: unknown) => {
      trace.add(`  ${what} ${id} refused ${errorText(error)}`);
      if (error instanceof Error && 'code' in error && error.code === 'bad_state') return;
      scene.failures.push(`${what}-broke ${errorText(error)}`);
    },
  );
}

function request(scene: Scene): void {
  const node = scene.life.node();
  if (node) scene.send(randomRequest(scene.pool, node.store, scene.world.host.row().power));
}

function repeat(scene: Scene, other: boolean): void {
  if (!scene.life.node() || scene.sent.length === 0) return;
  const before = scene.random.pick(scene.sent.slice(-12));
  scene.send(other ? changed(before, scene.random) : before);
}

/** The user of the host shuts it down; of a machine's host the machine, or that restarts as a whole. */
function shutDown({ nodeType, world, random }: Scene): void {
  if (nodeType === 'BM') {
    world.host.shutDownByUser();
    return;
  }
  const running = world.state.machines.rows().filter((each) => each.state === 'running');
  if (running.length === 0 || random.chance(0.3)) {
    world.host.restart();
    return;
  }
  const guest = random.pick(running);
  world.state.machines.set(guest.instance, { ...guest, state: 'off', bootedFrom: null, startedAtMs: null });
}

/** Destroys an instance that something is done to. */
function destroyBusy(scene: Scene): void {
  const node = scene.life.node();
  if (!node) return;
  const busy = node.store.unendedOperations();
  const uuid = busy.length > 0 ? scene.random.pick(busy).instance : node.store.liveInstances()[0]?.id;
  if (uuid !== undefined) scene.send({ method: 'destroy_instance', args: { uuid } });
}

function crash(scene: Scene): void {
  scene.life.kill();
  if (scene.losesStore && scene.random.chance(0.5)) scene.loseStoreNext = true;
}

/** Everything that may happen, with how likely it is. */
export const events: readonly Event[] = [
  [34, 'request', request],
  [7, 'repeat', (scene) => repeat(scene, false)],
  [3, 'changed repeat', (scene) => repeat(scene, true)],
  [
    6,
    'burst',
    (scene) => {
      for (let count = 2 + scene.random.int(3); count > 0; count -= 1) {
        if (scene.random.chance(0.3)) repeat(scene, false);
        else request(scene);
      }
    },
  ],
  [5, 'destroy what is busy', destroyBusy],
  [7, 'cancel', (scene) => operationCall(scene, 'cancelOperation')],
  [5, 'retry', (scene) => operationCall(scene, 'retryOperation')],
  [12, 'fault', orderFault],
  [
    9,
    'faults cleared',
    (scene) =>
      scene.world.faults.clear(scene.random.chance(0.5) ? scene.random.pick(peersOf[scene.nodeType]) : undefined),
  ],
  [
    5,
    'peer restarted',
    (scene) => {
      const peer = scene.random.pick(peersOf[scene.nodeType]);
      const losePorts = scene.random.chance(0.3);
      scene.trace.add(`  ${peer} ${losePorts ? 'loses ports' : ''}`);
      scene.world.restartPeer(peer, { losePorts });
    },
  ],
  [
    5,
    'peer stopped or started',
    (scene) => {
      const peer = scene.random.pick([...peersOf[scene.nodeType], ...scene.stopped.keys()]) as SimPeer;
      const start = scene.stopped.get(peer);
      scene.trace.add(`  ${peer} ${start ? 'starts' : 'stops'}`);
      scene.stopped.delete(peer);
      if (start) start();
      else scene.stopped.set(peer, scene.world.stopPeer(peer, { losePorts: scene.random.chance(0.3) }));
    },
  ],
  [3, 'foreign thing', plant],
  [2, 'user shuts down', shutDown],
  [2, 'button pushed', ({ world }) => world.host.powerOnByHand()],
  [4, 'crash', crash],
  [
    7,
    'crash to come',
    ({ life, random, trace }) => {
      const what = random.pick(['write', 'effect'] as const);
      const side = random.pick(['before', 'behind'] as const);
      const count = 1 + random.int(25);
      trace.add(`  ${side} ${what} ${count}`);
      life.killAt(what, side, count);
    },
  ],
  [3, 'graceful stop', ({ life }) => life.stop()],
  [
    4,
    'broker away or back',
    ({ platform, random }) => {
      if (platform.up()) platform.disconnect(random.chance(0.5));
      else platform.reconnect();
    },
  ],
  [2, 'platform refuses or takes', ({ platform, random }) => platform.refuse(random.chance(0.5))],
  [
    1,
    'maintenance',
    ({ life, random }) => {
      life
        .node()
        ?.service.setMaintenance(random.chance(0.3), null, { by: 'simulation' })
        .catch(() => {});
    },
  ],
  [4, 'nothing', () => {}],
];
