import { type RpcClient, UnroutableError } from 'oslo-messaging';
import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import { type ReporterParts, startReporter } from '../../platform-adapter/amqp/reporter.ts';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

/** What the platform was told of an instance last. */
export interface Told {
  readonly generation: number;
  readonly state: Instance['state'];
  readonly view: string;
}

/** Broker and platform: what is behind the reporter's RPC client. */
export interface Platform {
  /** The daemon's side, for one life. */
  adapter(parts: Omit<ReporterParts, 'client' | 'reportIntervalMs'>): PlatformAdapter;
  readonly told: ReadonlyMap<string, Told>;
  /** The last status of the node; null: none came. */
  status(): NodeStatus | null;
  /** Messages that wait in the queue. */
  waiting(): number;
  received(): number;
  /** The broker goes away; `losesQueues`: what waited is gone. */
  disconnect(losesQueues: boolean): void;
  reconnect(): void;
  up(): boolean;
  /** Nobody takes the messages: they come back. */
  refuse(refused: boolean): void;
  /** The store was lost: generations begin anew. */
  forgetGenerations(): void;
  /** Reports that came in a wrong order. */
  readonly faults: readonly string[];
}

interface Message {
  readonly method: string;
  readonly args: unknown;
  /** Rises when the store is lost: generations begin anew. */
  readonly epoch: number;
}

/** Makes a broker that is up and a platform that listens. */
export function createPlatform(clock: Clock, random: SeededRandom): Platform {
  const told = new Map<string, Told>();
  const faults: string[] = [];
  const queue: Message[] = [];
  const lives = new Set<{ reconnected(): void }>();
  let status: NodeStatus | null = null;
  let up = true;
  let refusing = false;
  let received = 0;
  let epoch = 0;
  let lost = new AbortController();
  let taking = false;

  function take(): void {
    if (taking || queue.length === 0) return;
    taking = true;
    clock.timer(random.int(20), () => {
      taking = false;
      const message = queue.shift();
      if (message) receive(message);
      take();
    });
  }

  function receive({ method, args, epoch: sent }: Message): void {
    received += 1;
    if (method === 'report_node_status') {
      status = args as NodeStatus;
      return;
    }
    const instance = args as Instance;
    if (sent !== epoch) return;
    const before = told.get(instance.uuid);
    if (before && before.generation > instance.generation) {
      faults.push(`${instance.uuid}: generation ${instance.generation} after ${before.generation}`);
    }
    told.set(instance.uuid, {
      generation: instance.generation,
      state: instance.state,
      view: JSON.stringify({ ...instance, task: null }),
    });
  }

  async function cast(
    own: Clock,
    method: string,
    args: unknown,
    options: { readonly signal?: AbortSignal },
  ): Promise<void> {
    const signal = options.signal ? AbortSignal.any([options.signal, lost.signal]) : lost.signal;
    if (!up) throw new DpuError('unavailable', 'no broker');
    await own.sleep(random.int(10), signal);
    if (refusing) throw new UnroutableError('', 'platform');
    queue.push({ method, args: structuredClone(args), epoch });
    take();
    await own.sleep(random.int(30), signal);
  }

  return {
    told,
    faults,
    status: () => status,
    waiting: () => queue.length,
    received: () => received,
    up: () => up,
    adapter(parts) {
      let reporter: ReturnType<typeof startReporter> | undefined;
      const client = {
        cast: (method: string, args: unknown, options: { readonly signal?: AbortSignal }) =>
          cast(parts.clock, method, args, options),
      } as unknown as RpcClient;
      const life = { reconnected: () => reporter?.reconnected() };
      return {
        name: 'platform',
        async start() {
          reporter = startReporter({ ...parts, client, reportIntervalMs: 60_000 });
          lives.add(life);
          if (up) reporter.reconnected();
        },
        async stop() {
          lives.delete(life);
          await reporter?.stop();
        },
        connected: () => up,
      };
    },
    disconnect(losesQueues) {
      up = false;
      lost.abort(new DpuError('unavailable', 'the broker went away'));
      if (losesQueues) queue.length = 0;
    },
    reconnect() {
      if (up) return;
      up = true;
      lost = new AbortController();
      for (const life of lives) life.reconnected();
    },
    refuse(refused) {
      refusing = refused;
    },
    forgetGenerations() {
      epoch += 1;
      told.clear();
    },
  };
}
