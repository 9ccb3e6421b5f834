/** One process of a node is killed as one step of an operation begins; then it is started again, and the operation must come to its end. */
import { randomUUID } from 'node:crypto';
import type { Operation } from '../../schemas/generated/operation.ts';
import { type Victim, type VirtualNode, victims } from './virtual-node.ts';
import { until } from './wait.ts';

/** A step of an operation, and who dies as it begins. */
export interface Cell {
  readonly kind: SweptKind;
  readonly step: string;
  readonly victim: Victim;
}

/** How a cell ended: both are good. */
export type Outcome = 'succeeded' | 'undone';

/** A cell that ran, and the seconds that its parts took: for people. */
export interface CellRun {
  readonly outcome: Outcome;
  readonly seconds: Readonly<Record<'prepare' | 'kill' | 'repair' | 'end' | 'settle', number>>;
}

/** How long a step may take to begin, and a guest to boot. */
const STEP_MS = 120_000;
const GUEST_MS = 300_000;
/** Steps of a build in which a death may cost the start of the host: its guest is waited for. */
const startsHost: ReadonlySet<string> = new Set(['disk:plug boot', 'host:boot-device', 'host:on', 'instance:record']);

const disk = (name: string, ...whats: string[]): readonly string[] => whats.map((what) => `disk:${what} ${name}`);
const nic = (...whats: string[]): readonly string[] => whats.map((what) => `nic:${what}`);

/** Steps of the operations, ids taken out of their names. */
export const sweptSteps = {
  build: [
    'host:off',
    ...disk('boot', 'function', 'volume', 'connect', 'attach'),
    ...disk('data', 'function', 'connect', 'attach'),
    ...nic('port', 'function', 'bind'),
    'disk:plug data',
    'nic:plug',
    'disk:plug boot',
    'host:boot-device',
    'host:on',
    'instance:record',
  ],
  attach_interface: [...nic('port', 'function', 'bind', 'plug'), 'instance:record'],
  detach_interface: nic('unplug', 'unbind', 'release', 'release-port'),
  attach_volume: [...disk('later', 'function', 'connect', 'attach', 'plug'), 'instance:record'],
  detach_volume: disk('later', 'unplug', 'detach', 'disconnect', 'release'),
  destroy: [
    'host:off',
    ...disk('boot', 'unplug', 'detach', 'disconnect', 'delete', 'release'),
    ...disk('data', 'unplug', 'detach', 'disconnect', 'release'),
    ...nic('unplug', 'unbind', 'release', 'release-port'),
    'instance:forget',
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Operations that are swept, in the order in which an instance lives through them. */
export type SweptKind = keyof typeof sweptSteps;
const kinds = Object.keys(sweptSteps) as SweptKind[];

/** All cells, so ordered that one instance after the other lives through one of each kind. */
export function allCells(): readonly Cell[] {
  const most = Math.max(...kinds.map((kind) => sweptSteps[kind].length));
  return victims.flatMap((victim) =>
    Array.from({ length: most }, (_, at) => at).flatMap((at) =>
      kinds.flatMap((kind): Cell[] => {
        const step = sweptSteps[kind][at];
        return step === undefined ? [] : [{ kind, step, victim }];
      }),
    ),
  );
}

/** The name of a step without its ids. */
export function plainStep(name: string): string {
  const [what = '', key = ''] = [name.split(':').slice(0, 2).join(':'), name.split(':').slice(2).join(':')];
  if (!what.startsWith('disk:')) return what;
  return `${what} ${key === 'data' || key === 'later' ? key : 'boot'}`;
}

/** Lets instances live on a node through cells. */
export function createSweep(node: VirtualNode) {
  let uuid: string = randomUUID();
  /** How much of the host's console there was before it was last switched on: prompts in it are of earlier starts. */
  let before = 0;

  const markConsole = async (): Promise<void> => {
    before = (await node.serialLog()).length;
  };

  const known = async () => {
    const { instances } = (await node.rest.ask('GET', '/v1/instances')) as { instances: { uuid: string }[] };
    return instances.length === 0 ? null : await node.instance(uuid);
  };

  function request(kind: SweptKind, port: string | undefined): readonly [string, Readonly<Record<string, unknown>>] {
    switch (kind) {
      case 'build': {
        const disks = { image: 'demo', volumes: [{ volume_id: 'data' }] };
        return [
          'build_and_run_instance',
          { uuid, name: 'swept', flavor: '4c8g', networks: [{ subnet: 'net1' }], ...disks },
        ];
      }
      case 'attach_interface':
        return [kind, { uuid, network: { subnet: 'net1' } }];
      case 'detach_interface':
        return [kind, { uuid, port_id: port }];
      case 'attach_volume':
        return [kind, { uuid, volume: { volume_id: 'later' } }];
      case 'detach_volume':
        return [kind, { uuid, volume_id: 'later' }];
      case 'destroy':
        return ['destroy_instance', { uuid }];
    }
  }

  /** Brings the instance to where the operation begins. */
  async function prepare(kind: SweptKind): Promise<void> {
    let now = await known();
    if (kind === 'build') {
      if (now !== null) await node.succeed(...request('destroy', undefined));
      await node.clean();
      uuid = randomUUID();
      return;
    }
    if (now === null) {
      uuid = randomUUID();
      await markConsole();
      await node.succeed(...request('build', undefined));
      now = await node.instance(uuid);
    }
    if (kind === 'destroy') return;
    await guestUp(async () => {
      await markConsole();
      await node.succeed('start_instance', { uuid });
      return false;
    });
    const { interfaces, volumes } = await node.instance(uuid);
    const more = interfaces[1]?.port_id;
    const has = volumes.some(({ volume_id }) => volume_id === 'later');
    if (kind === 'attach_interface' && more !== undefined) await node.succeed(...request('detach_interface', more));
    if (kind === 'detach_interface' && more === undefined)
      await node.succeed(...request('attach_interface', undefined));
    if (kind === 'attach_volume' && has) await node.succeed(...request('detach_volume', undefined));
    if (kind === 'detach_volume' && !has) await node.succeed(...request('attach_volume', undefined));
    await guestUp(async () => false);
  }

  /** Waits for the login prompt of the last start. What is to be done where the host is seen to be off, which may be late, answers whether that is the end. */
  async function guestUp(off: () => Promise<boolean>): Promise<void> {
    let text = '';
    await until(
      'the guest is up',
      async () => {
        const { state } = await node.instance(uuid);
        if (state === 'stopped' && (await off())) return true;
        const log = await node.serialLog();
        text = log.slice(log.length < before ? 0 : before);
        return state === 'active' && text.lastIndexOf('login: ') > text.lastIndexOf('SeaBIOS');
      },
      GUEST_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; its console ends with:\n${text.slice(-800)}`);
    });
  }

  /** Sends the request, and kills as the step is told of. Answers the operation's id. @throws Error where it is refused, or ends without the step. */
  async function killAt({ kind, step, victim }: Cell, port: string | undefined): Promise<string> {
    const watching = new AbortController();
    const events = node.rest.events(watching.signal);
    const first = events.next(); // sends the request for them
    let killed = false;
    let last: Operation | undefined;
    const told = async (): Promise<string> => {
      for (let event = await first; !event.done; event = await events.next()) {
        const operation = event.value.data as Operation;
        if (event.value.type !== 'operation' || operation.instance !== uuid || operation.kind !== kind) continue;
        last = operation;
        if (operation.steps.some(({ name, phase }) => phase !== 'pending' && plainStep(name) === step)) {
          killed = true;
          if (victim === 'qemu') before = 0; // another QEMU begins its log anew
          await node.kill(victim);
          return operation.id;
        }
        if (isOver(operation)) throw new Error('it ended before');
      }
      throw new Error('the stream of events ended');
    };
    const refused = async (): Promise<never> => {
      // Whoever is killed may take the answer along: the events tell of the operation.
      await node.call(...request(kind, port)).catch((error: unknown) => {
        if (!killed) throw error;
      });
      return await new Promise<never>(() => undefined);
    };
    const timer = setTimeout(() => watching.abort(), STEP_MS);
    try {
      return await Promise.race([told(), refused()]);
    } catch (error) {
      throw new Error(`${step} was not told of: ${String(error)}; ${JSON.stringify(last)}\n${await node.daemonLog()}`);
    } finally {
      clearTimeout(timer);
      watching.abort();
    }
  }

  return {
    /** @throws Error where the operation is stuck, ends neither way, or leaves something. */
    async run(cell: Cell): Promise<CellRun> {
      const lap = laps();
      await prepare(cell.kind);
      if (cell.kind === 'build') await markConsole();
      const port = cell.kind === 'detach_interface' ? (await node.instance(uuid)).interfaces[1]?.port_id : undefined;
      const devices = cell.kind === 'build' ? [] : devicesIn(await node.leaks());
      const prepared = lap();
      const id = await killAt(cell, port);
      const kill = lap();
      await node.repair();
      const repair = lap();
      const { state, error } = await node.ended(id);
      const end = lap();
      if (state === 'stuck' || state === 'running') throw new Error(`${state}: ${JSON.stringify(error)}`);
      await node.ready();
      const undone = state !== 'succeeded';
      if (cell.kind === 'destroy' && undone) throw new Error(`a destroy ${state}: ${JSON.stringify(error)}`);
      if (cell.kind === 'destroy' || (cell.kind === 'build' && undone)) await settled(cell, undone);
      else if (cell.kind !== 'build') await sameAs(devices, undone, cell.kind);
      else if (startsHost.has(cell.step)) await guestUp(async () => true);
      const seconds = { prepare: prepared, kill, repair, end, settle: lap() };
      return { outcome: undone ? 'undone' : 'succeeded', seconds };
    },
  };

  /** An instance whose build was undone is there in `error` until it is destroyed: then nothing is left. */
  async function settled(cell: Cell, undone: boolean): Promise<void> {
    if (cell.kind === 'build' && undone && (await known()) !== null) {
      await node.succeed(...request('destroy', undefined));
    }
    await node.clean({ ms: 60_000 });
  }

  async function sameAs(earlier: readonly string[], undone: boolean, kind: SweptKind): Promise<void> {
    let now: readonly string[] = [];
    const wanted = undone ? 0 : kind.startsWith('attach') ? 1 : -1;
    await until(
      'devices are as many as they should be',
      async () => {
        now = devicesIn(await node.leaks());
        return now.length === earlier.length + wanted && (wanted !== 0 || now.every((each) => earlier.includes(each)));
      },
      60_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${earlier.join(', ')} became ${now.join(', ')}`);
    });
  }
}

/** Seconds since it was last asked. */
function laps(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const passed = Math.round((now - last) / 100) / 10;
    last = now;
    return passed;
  };
}

const isOver = ({ state }: Operation): boolean => ['succeeded', 'failed', 'cancelled', 'stuck'].includes(state);

function devicesIn(leaks: readonly string[]): readonly string[] {
  return leaks.filter((each) => each.startsWith('PCIe devices: '));
}

/** A cell's name: `attach_volume!disk:plug later@spdk-face`. */
export const nameOf = ({ kind, step, victim }: Cell): string => `${kind}!${step}@${victim}`;

/** The table for people: steps down, victims across; of runs by their cells' names. */
export function sweepTable(runs: ReadonlyMap<string, CellRun>): string {
  const sign = { succeeded: 'ok', undone: 'undone' } as const;
  const rows = kinds.flatMap((kind) =>
    sweptSteps[kind].map((step) => {
      const cells = victims.map((victim) => {
        const run = runs.get(nameOf({ kind, step, victim }));
        return run === undefined ? '' : sign[run.outcome];
      });
      return `| ${kind} | ${step} | ${cells.join(' | ')} |`;
    }),
  );
  return [`| operation | step | ${victims.join(' | ')} |`, `|${'---|'.repeat(victims.length + 2)}`, ...rows].join('\n');
}
