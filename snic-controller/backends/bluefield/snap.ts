import {
  ClosedError,
  ConnectionLostError,
  createSpdkClient,
  framework,
  LimitError,
  type Method,
  MethodNotFoundError,
  ProtocolError,
  RequestTimeoutError,
  RpcError,
  type SnapGeneration,
  type SpdkClient,
  snap3,
  snap4,
  snap4Common,
  snapGeneration,
  UnexpectedResultError,
} from 'spdk-client';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { FunctionClass } from '../../../core/ports/snic-controller.ts';
import { asFields, asList, textOf } from './fields.ts';
import { type EmulatedDevice, readSnap3, readSnap4 } from './snap-view.ts';

/** The classes that SNAP emulates. */
export type StorageClass = Exclude<FunctionClass, 'virtio-net'>;

/** How long it may take, and who may stop it. */
export interface SnapLimits {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** SNAP's functions. All reject with `unavailable`, `timeout`, `unsupported` (no such method), `hardware`; the signal's reason. */
export interface Snap {
  /** The classes of which functions can be made. */
  classes(signal?: AbortSignal): Promise<readonly StorageClass[]>;
  list(signal?: AbortSignal): Promise<readonly EmulatedDevice[]>;
  /** Makes a function that no host sees; answers its VUID. */
  create(of: StorageClass, signal?: AbortSignal): Promise<string>;
  destroy(of: StorageClass, vuid: string, signal?: AbortSignal): Promise<void>;
  /** Ends when the host has taken note, or could not. */
  hotplug(of: StorageClass, controller: string, limits: SnapLimits): Promise<void>;
  hotunplug(of: StorageClass, controller: string, limits: SnapLimits): Promise<void>;
  /** Calls back whenever the connection was made. */
  onConnected(listener: () => void): () => void;
  close(): void;
}

/** How long a connection is waited for, in milliseconds. */
const connectMs = 1000;

/** Talks to SNAP on its socket; connects by itself, and anew after SNAP was restarted. */
export function createSnap(path: string, timeoutMs: number, clock: Clock): Snap {
  const spdk = createSpdkClient({ address: { path }, timeoutMs, backoff: { maxMs: 2000 } });
  let generation: Promise<SnapGeneration | undefined> | null = null;
  const forget = spdk.on('connected', () => {
    generation = null; // SNAP may be another now
  });
  /** @throws `unavailable` when there is no connection soon. */
  const ready = async (doing: string, signal?: AbortSignal): Promise<void> => {
    if (spdk.state === 'connected') return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = spdk.on('connected', () => resolve());
    const patience = clock.timer(connectMs, () => {
      reject(new DpuError('unavailable', `${doing}: SNAP is not reachable`));
    });
    const abort = (): void => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await promise;
    } finally {
      stop();
      patience.cancel();
      signal?.removeEventListener('abort', abort);
    }
  };

  const asking = async <Answer>(
    doing: string,
    signal: AbortSignal | undefined,
    work: () => Promise<Answer>,
  ): Promise<Answer> => {
    try {
      signal?.throwIfAborted();
      await ready(doing, signal);
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      throw translate(doing, error);
    }
  };
  /** The same for what changes nothing: once more when SNAP was restarted meanwhile. */
  const reading = <Answer>(
    doing: string,
    signal: AbortSignal | undefined,
    work: () => Promise<Answer>,
  ): Promise<Answer> =>
    asking(doing, signal, async () => {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) throw error;
        await ready(doing, signal);
        return await work();
      }
    });
  const limits = ({ timeoutMs: ms, signal }: SnapLimits): { timeoutMs?: number; signal?: AbortSignal } => ({
    ...(ms === undefined ? {} : { timeoutMs: ms }),
    ...(signal ? { signal } : {}),
  });
  const methods = async (signal?: AbortSignal): Promise<readonly string[]> =>
    await spdk.call(framework.methods, {}, limits({ signal }));
  const generationNow = (): Promise<SnapGeneration | undefined> => {
    generation ??= methods().then(snapGeneration);
    const asked = generation;
    asked.catch(() => {
      if (generation === asked) generation = null;
    });
    return asked;
  };

  return {
    classes: (signal) =>
      reading('SNAP could not be asked what it has', signal, async () => {
        const has = new Set(await methods(signal));
        return (['virtio-blk', 'nvme'] as const).filter((each) => has.has(methodsOf[each].create.name));
      }),
    list: (signal) =>
      reading("SNAP's functions could not be listed", signal, async () => {
        switch (await generationNow()) {
          case 'snap-4':
          case 'snap-4-early':
            return readSnap4(
              await spdk.call(snap4Common.functions, { all: true }, limits({ signal })),
              await controllersOf(spdk, limits({ signal })),
            );
          case 'snap-3':
            return readSnap3(await spdk.call(snap3.functions, {}, limits({ signal })));
          default:
            throw new DpuError('unsupported', 'the program on the SNAP socket is no SNAP');
        }
      }),
    create: (of, signal) =>
      asking(`a function of class ${of} could not be made`, signal, async () => {
        const { vuid } = await spdk.call(methodsOf[of].create, {}, limits({ signal }));
        return vuid;
      }),
    destroy: (of, vuid, signal) =>
      asking(`function ${vuid} could not be given back`, signal, async () => {
        await spdk.call(methodsOf[of].destroy, { vuid }, limits({ signal }));
      }),
    hotplug: (of, ctrl_id, how) =>
      asking(`controller ${ctrl_id} could not be plugged`, how.signal, async () => {
        await spdk.call(methodsOf[of].hotplug, { ctrl_id, wait_for_done: true }, limits(how));
      }),
    hotunplug: (of, ctrl_id, how) =>
      asking(`controller ${ctrl_id} could not be unplugged`, how.signal, async () => {
        await spdk.call(methodsOf[of].hotunplug, { ctrl_id, wait_for_done: true }, limits(how));
      }),
    onConnected: (listener) => spdk.on('connected', listener),
    close: () => {
      forget();
      spdk.close();
    },
  };
}

/** What a method lists of the controllers, whichever shape that has; SNAP without the method has none of that class. */
async function controllersOf(
  spdk: SpdkClient,
  limits: { timeoutMs?: number; signal?: AbortSignal },
): Promise<ReadonlyMap<string, { readonly plugged: boolean | null; readonly nqn: string | null }>> {
  const tolerant = async <Params, Result>(method: Method<Params, Result>): Promise<unknown> => {
    try {
      return await spdk.request(method.name, {}, limits);
    } catch (error) {
      if (error instanceof MethodNotFoundError) return [];
      throw error;
    }
  };
  const subsystems = asList(await tolerant(snap4Common.subsystems)) ?? [];
  const nvme = subsystems.flatMap((subsystem) =>
    (asList(subsystem.controllers) ?? []).map((each) => ({ each, nqn: textOf(subsystem, 'nqn') })),
  );
  const blk = asList(await tolerant(snap4Common.virtioBlkControllers)) ?? [];
  return new Map(
    [...nvme, ...blk.map((each) => ({ each, nqn: null }))].flatMap(({ each, nqn }) => {
      const name = textOf(each, 'ctrl_id', 'ctrl', 'name');
      const { plugged } = asFields(each) ?? {};
      return name === null ? [] : [[name, { plugged: typeof plugged === 'boolean' ? plugged : null, nqn }] as const];
    }),
  );
}

const methodsOf = {
  nvme: {
    create: snap4.createNvmeFunction,
    destroy: snap4.destroyNvmeFunction,
    hotplug: snap4.hotplugNvme,
    hotunplug: snap4.hotunplugNvme,
  },
  'virtio-blk': {
    create: snap4.createVirtioBlkFunction,
    destroy: snap4.destroyVirtioBlkFunction,
    hotplug: snap4.hotplugVirtioBlk,
    hotunplug: snap4.hotunplugVirtioBlk,
  },
} as const;

function translate(doing: string, error: unknown): DpuError {
  if (error instanceof DpuError) return error;
  const cause = { cause: error };
  if (error instanceof RequestTimeoutError) {
    return error.sent
      ? new DpuError('timeout', `${doing}: SNAP did not answer in time`, cause)
      : new DpuError('unavailable', `${doing}: SNAP is not reachable`, cause);
  }
  if (
    error instanceof ConnectionLostError ||
    error instanceof ClosedError ||
    error instanceof ProtocolError ||
    error instanceof LimitError
  ) {
    return new DpuError('unavailable', `${doing}: SNAP is not reachable`, cause);
  }
  if (error instanceof MethodNotFoundError) {
    return new DpuError('unsupported', `${doing}: this SNAP has no ${error.method}`, cause);
  }
  if (error instanceof RpcError || error instanceof UnexpectedResultError)
    return new DpuError('hardware', doing, cause);
  return new DpuError('internal', doing, cause);
}
