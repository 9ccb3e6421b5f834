import { type Bdev, type CallOptions, framework, RpcError, type SpdkClient } from 'spdk-client';
import { difference } from '../../core/difference.ts';
import { DpuError, hasCode, toDpuError } from '../../core/errors.ts';
import { createKeyedLock } from '../../core/operation/keyed-lock.ts';
import type { Log } from '../../core/ports/log.ts';
import type { AttachSpec, StorageAttachment, StorageQos, StorageTarget } from '../../core/ports/storage-target.ts';
import type { FunctionId } from '../../core/units.ts';
import type { Backend, ConnectionContext } from './connections/backend.ts';
import { backendOf } from './connections/open.ts';
import type { FrontEnd } from './front-end.ts';
import { growBdev } from './grow.ts';
import type { Note } from './note.ts';
import { applyQos } from './qos.ts';
import { releaseBackend } from './release-backend.ts';
import { asking, fromSpdk } from './spdk-errors.ts';
import { attachmentsOf, dropNote, noteOf, readTarget, sizeOf, type TargetState, writeNote } from './target-state.ts';

/** What a storage target on SPDK is made of. */
export interface SpdkStorageOptions {
  readonly spdk: SpdkClient;
  readonly front: FrontEnd;
  readonly connections: Omit<ConnectionContext, 'volumeId' | 'readOnly'>;
  readonly log: Log;
  /** How long one call to SPDK may take; milliseconds, default 20,000. */
  readonly callMs?: number;
  /** Makes be there what volumes of SPDK's own lie on, such as an lvol store: at each attachment of one, and after a restart of SPDK. */
  readonly prepare?: () => Promise<void>;
  /** Told when SPDK was restarted and what this process had attached is served again as far as it could be. */
  readonly restarted?: () => void;
}

/** A storage target that also mends itself. */
export interface SpdkStorageTarget extends StorageTarget {
  /** Ends when the rebuilding that is under way, if any, has ended. */
  settled(): Promise<void>;
  /** Stops looking after SPDK; leaves all that is served as it is, and the client open. */
  close(): void;
}

/** Attached by this process: what is needed to attach it again. A connection may hold secrets, so it is in memory alone. */
interface Wanted {
  readonly spec: AttachSpec;
  readonly qos: StorageQos;
}

/**
 * Volumes behind functions by SPDK. What SPDK does not guard is guarded here: one writer for each volume, no second user of a claimed bdev, no
 * detaching under a host that uses it, nothing of others touched. SPDK forgets everything when it is restarted; what this process
 * attached is then attached again at once, before the guest's patience ends.
 */
export function createSpdkStorageTarget(options: SpdkStorageOptions): SpdkStorageTarget {
  const { spdk, front, connections, log, callMs = 20_000, prepare, restarted } = options;
  const locks = createKeyedLock();
  const never = new AbortController().signal;
  const wanted = new Map<FunctionId, Wanted>();
  let rebuilding: Promise<void> = Promise.resolve();
  let closed = false;

  const callOptions = (signal?: AbortSignal): CallOptions => ({ timeoutMs: callMs, ...(signal ? { signal } : {}) });
  const read = (signal?: AbortSignal): Promise<TargetState> => readTarget(spdk, front, callOptions(signal));

  async function locked<Result>(
    keys: readonly string[],
    signal: AbortSignal | undefined,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const held: (() => void)[] = [];
    try {
      for (const key of keys) held.push(await locks.acquire(key, signal ?? never));
      return await work();
    } finally {
      for (const leave of held.reverse()) leave();
    }
  }

  function backendFor(spec: AttachSpec): Backend {
    return backendOf(spec.connection, { ...connections, volumeId: spec.volumeId, readOnly: spec.readOnly });
  }

  async function attach(spec: AttachSpec, qos: StorageQos, signal?: AbortSignal): Promise<StorageAttachment> {
    const doing = `attaching volume ${spec.volumeId}`;
    const backend = backendFor(spec);
    const { functionId, volumeId, readOnly, mark, shared = false } = spec;
    const note: Note = { functionId, volumeId, readOnly, shared, mark, kind: backend.kind, backend: backend.name };
    return locked([`function ${functionId}`, `backend ${backend.name}`], signal, () =>
      asking(doing, signal, async () => {
        const before = await read(signal);
        const existing = await whatIsThere(before, spec, signal);
        if (existing) return existing;
        refuseRivals(before, note);
        try {
          await writeNote(spdk, note, callOptions(signal));
          const opened = await open(backend, spec, signal);
          refuseClaimed(await read(signal), opened, note);
          await applyQos(spdk, opened, qos, callOptions(signal));
          await front.serve(note, opened.name, callOptions(signal));
        } catch (error) {
          await takeBack(note, error);
          throw error;
        }
        const attached = attachmentsOf(await read(signal)).find((each) => each.functionId === functionId);
        if (!attached) throw new DpuError('unavailable', `${doing}: it went away again`);
        return attached;
      }),
    );
  }

  /** The attachment that the function has already; removes what is left of one that was cut short. @throws `conflict`. */
  async function whatIsThere(
    state: TargetState,
    { functionId, volumeId, readOnly, mark }: AttachSpec,
    signal?: AbortSignal,
  ): Promise<StorageAttachment | undefined> {
    const note = noteOf(state, functionId);
    const served = state.served.find((each) => each.functionId === functionId);
    if (served && !note) throw new DpuError('conflict', `function ${functionId} is served by somebody else`);
    const attachment = attachmentsOf(state).find((each) => each.functionId === functionId);
    if (attachment) {
      const details = difference(attachment, { volumeId, readOnly, mark });
      if (details)
        throw new DpuError('conflict', `attachment of ${functionId} exists with another specification`, { details });
      return attachment;
    }
    if (note) await remove(note, signal);
    return undefined;
  }

  async function open(backend: Backend, { volumeId }: AttachSpec, signal?: AbortSignal): Promise<Bdev> {
    try {
      if (backend.kind === 'lvol') await prepare?.();
      return await backend.open(spdk, callOptions(signal));
    } catch (error) {
      if (!(error instanceof RpcError) || error.code === 'rpc-method-not-found') throw error;
      throw new DpuError('unavailable', `volume ${volumeId} can't be reached`, { cause: error });
    }
  }

  /** After a failure nothing is left; unless SPDK is away, which then has forgotten it, or has the note that the next attempt goes by. */
  async function takeBack(note: Note, error: unknown): Promise<void> {
    const translated = fromSpdk(error, 'attaching');
    if (!(error instanceof DpuError) && hasCode(translated, 'unavailable')) return;
    try {
      await remove(note);
    } catch (failed) {
      const { functionId } = note;
      log.warn('what was attached in part could not be taken back', {
        functionId,
        error: toDpuError(fromSpdk(failed, 'taking back'), 'taking back'),
      });
    }
  }

  /** Strict order: the host's side, the bdev and what it lies on, and last the note that all of it is ours by. */
  async function remove(note: Note, signal?: AbortSignal): Promise<void> {
    await front.stop(note.functionId, callOptions(signal));
    await releaseBackend(spdk, note, await read(signal), callOptions(signal));
    await dropNote(spdk, note, callOptions(signal));
  }

  async function detach(functionId: FunctionId, signal?: AbortSignal): Promise<void> {
    await locked([`function ${functionId}`], signal, () =>
      asking(`detaching ${functionId}`, signal, async () => {
        const state = await read(signal);
        const note = noteOf(state, functionId);
        if (!note) {
          if (state.served.some((each) => each.functionId === functionId)) throw notOurs(functionId);
          wanted.delete(functionId);
          return;
        }
        await locked([`backend ${note.backend}`], signal, () => remove(note, signal));
        wanted.delete(functionId);
      }),
    );
  }

  /** The bdev of a function of ours. */
  async function ours(
    functionId: FunctionId,
    signal?: AbortSignal,
  ): Promise<{ readonly note: Note; readonly backing: Bdev }> {
    const state = await read(signal);
    const note = noteOf(state, functionId);
    const attachment = attachmentsOf(state).find((each) => each.functionId === functionId);
    if (!note && attachment) throw notOurs(functionId);
    const backing = state.bdevs.find(({ name }) => name === attachment?.bdev);
    if (!note || !backing) throw new DpuError('not_found', `nothing is attached to ${functionId}`);
    return { note, backing };
  }

  async function rebuild(): Promise<void> {
    try {
      await spdk.call(framework.waitInit, undefined, callOptions());
    } catch (error) {
      log.warn('SPDK does not say that it is ready', { error: toDpuError(fromSpdk(error, 'waiting'), 'waiting') });
    }
    for (const [functionId, { spec, qos }] of [...wanted]) {
      if (closed || !wanted.has(functionId)) continue;
      try {
        await attach(spec, qos);
      } catch (error) {
        log.error('could not be attached again', { functionId, error: toDpuError(error, 'attaching failed') });
      }
    }
    if (wanted.size > 0)
      log.warn('SPDK was restarted; what this process had attached is attached again', { attachments: wanted.size });
    restarted?.();
  }

  const stopListening = spdk.on('connected', ({ again }) => {
    if (!again || closed) return;
    rebuilding = rebuilding.then(rebuild);
  });

  return {
    async attach(spec, signal) {
      const attached = await attach(spec, spec.qos ?? {}, signal);
      const before = wanted.get(spec.functionId);
      wanted.set(spec.functionId, { spec, qos: before?.qos ?? spec.qos ?? {} });
      return attached;
    },
    detach,
    list: (signal) => asking('listing attachments', signal, async () => attachmentsOf(await read(signal))),
    setQos: (functionId, qos, signal) =>
      locked([`function ${functionId}`], signal, () =>
        asking(`limiting ${functionId}`, signal, async () => {
          const { backing } = await ours(functionId, signal);
          await applyQos(spdk, backing, qos, callOptions(signal));
          const before = wanted.get(functionId);
          if (before) wanted.set(functionId, { ...before, qos: { ...before.qos, ...qos } });
        }),
      ),
    resized: (functionId, sizeBytes, signal) =>
      locked([`function ${functionId}`], signal, () =>
        asking(`growing the disk of ${functionId}`, signal, async () => {
          const { note, backing } = await ours(functionId, signal);
          if (sizeOf(backing) < sizeBytes) await growBdev(spdk, note, backing, sizeBytes, callOptions(signal));
          const attached = attachmentsOf(await read(signal)).find((each) => each.functionId === functionId);
          // SPDK rounds up to what its stores are made of
          if (!attached || attached.sizeBytes < sizeBytes) {
            throw new DpuError('bad_state', `volume ${note.volumeId} does not have that size`, {
              details: { sizeBytes: [attached?.sizeBytes ?? null, sizeBytes] },
            });
          }
          return attached;
        }),
      ),
    settled: () => rebuilding,
    close() {
      closed = true;
      stopListening();
    },
  };
}

function notOurs(functionId: FunctionId): DpuError {
  return new DpuError('denied', `what serves ${functionId} is not ours`);
}

/** @throws DpuError `conflict` when another function writes the volume. */
function refuseRivals(state: TargetState, note: Note): void {
  if (note.readOnly) return;
  const rival = state.notes.find(
    (each) =>
      each.volumeId === note.volumeId &&
      each.functionId !== note.functionId &&
      !each.readOnly &&
      !(each.shared && note.shared),
  );
  if (!rival) return;
  throw new DpuError('conflict', `volume ${note.volumeId} has another writer`, {
    details: { functionId: [rival.functionId, note.functionId] },
  });
}

/** A bdev that SPDK's own modules hold (a store lies on it), or that a controller of somebody else writes. @throws DpuError `conflict`. */
function refuseClaimed(state: TargetState, opened: Bdev, note: Note): void {
  if (opened.claimed) throw new DpuError('conflict', `the block device of volume ${note.volumeId} belongs to a store`);
  const names = new Set([opened.name, ...opened.aliases]);
  const writer = state.served.find((each) => {
    if (each.functionId === note.functionId || each.readOnly || each.bdev === null || !names.has(each.bdev))
      return false;
    return !(note.shared && noteOf(state, each.functionId)?.shared);
  });
  if (!writer || note.readOnly) return;
  throw new DpuError('conflict', `volume ${note.volumeId} has another writer`, {
    details: { functionId: [writer.functionId, note.functionId] },
  });
}
