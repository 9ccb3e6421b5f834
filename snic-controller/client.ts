import { DpuError } from '../core/errors.ts';
import type { Clock, Timer } from '../core/ports/clock.ts';
import type { OwnershipMark } from '../core/ports/ownership.ts';
import type { FunctionState, SnicController } from '../core/ports/snic-controller.ts';
import type { FunctionId, Json, Mac } from '../core/units.ts';
import { createRpcClient, type RpcCallOptions } from '../kit/json-rpc/client.ts';
import type { CardAnswer, FunctionAnswer, FunctionsAnswer } from '../schemas/generated/snic-rpc.ts';
import { errorFrom } from './server/errors.ts';

/** Where the program is. */
export interface SnicClientOptions {
  /** Path of its socket. */
  readonly path: string;
  readonly clock: Clock;
  /** How long a call may take, the host's own deadline not counted, in milliseconds; default 60,000. */
  readonly timeoutMs?: number;
  /** The program was away and is there again. Asking for it keeps a connection open. */
  restarted?(): void;
}

/** The port over the program's socket. It connects when it is asked, and anew when the connection was lost. */
export interface SnicClient extends SnicController {
  close(): void;
}

/** How long between tries to reach a program that is away, in milliseconds. */
const retryMs = 2000;

/** Makes the client; with `restarted` it connects at once. */
export function createSnicClient(options: SnicClientOptions): SnicClient {
  const { path, clock, timeoutMs = 60_000, restarted } = options;
  let closed = false;
  let retry: Timer | undefined;
  let away = false;
  const rpc = createRpcClient({
    path,
    peer: 'snic-controller',
    clock,
    timeoutMs,
    onDisconnect: () => {
      away = true;
      follow();
    },
  });

  /** Keeps a connection, by which an end of the program is noticed, and tells of its return. */
  function follow(): void {
    if (restarted === undefined || closed) return;
    retry?.cancel();
    retry = undefined;
    rpc.call('watch', {}).then(
      () => {
        if (away && !closed) restarted();
        away = false;
      },
      () => {
        away = true;
        if (!closed) retry ??= clock.timer(retryMs, follow);
      },
    );
  }

  async function call<Answer>(method: string, params: Json, limits: RpcCallOptions): Promise<Answer> {
    try {
      return (await rpc.call(method, params, limits)) as Answer;
    } catch (error) {
      throw limits.signal?.aborted ? error : errorFrom(error);
    }
  }

  const fine = (answer: Promise<FunctionAnswer>): Promise<FunctionState> => answer.then(stateOf);

  follow();
  return {
    describe: async (signal) => {
      const card = await call<CardAnswer>('describe', {}, { signal });
      const { model, capacity, free, host_restricted: hostRestricted } = card;
      return { model, capacity, free, hostRestricted };
    },
    ensureFunction: ({ id, type, class: cls, mac, features, mark }, signal) => {
      const storage = cls !== 'virtio-net';
      if (storage && mac !== null) {
        return Promise.reject(new DpuError('invalid', 'a storage function has no MAC', { field: 'mac' }));
      }
      const method = storage ? 'create_storage_dev' : `create_${type.toLowerCase()}`;
      const spec = { id, type, class: cls, features, mark: mark as unknown as Json, plug: false };
      return fine(call(method, mac === null ? spec : { ...spec, mac }, { signal }));
    },
    plugFunction: (id, signal) => fine(call('plug_function', { id }, { signal })),
    unplugFunction: async (id, { deadlineMs }, signal) => {
      const limits = { signal, timeoutMs: timeoutMs + deadlineMs };
      await call('unplug_function', { id, deadline_ms: Math.round(deadlineMs) }, limits);
    },
    releaseFunction: async (id, signal) => {
      const { functions } = await call<FunctionsAnswer>('list_functions', {}, { signal });
      const type = functions.find((each) => each.id === id)?.type ?? 'PF';
      await call(`delete_${type.toLowerCase()}`, { id }, { signal });
    },
    listFunctions: async (signal) => {
      const { functions } = await call<FunctionsAnswer>('list_functions', {}, { signal });
      return functions.map(stateOf);
    },
    close: () => {
      closed = true;
      retry?.cancel();
      rpc.close();
    },
  };
}

function stateOf(answer: FunctionAnswer): FunctionState {
  const { id, type, class: cls, mac, features, bdf, bdf_state: bdfState, plugged, representor, vuid, mark } = answer;
  return {
    id: id as FunctionId,
    type,
    class: cls,
    mac: mac as Mac | null,
    features,
    bdf,
    bdfState,
    plugged,
    representor,
    vuid,
    mark: mark as unknown as OwnershipMark | null,
  };
}
