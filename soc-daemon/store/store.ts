import { dirname } from 'node:path';
import { DpuError, toDpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { CommitNotice, NodeStore } from '../../core/ports/node-store.ts';
import type { Random } from '../../core/ports/random.ts';
import { systemRandom } from '../../kit/random.ts';
import { createSealer } from '../../kit/seal.ts';
import { checkDatabase, statementCache } from '../../kit/sqlite.ts';
import { lockState } from '../../kit/state-lock.ts';
import type { Batch, CommandAnswer, CommandType, GroupResult, StoreCommand } from './commands.ts';
import { storeDatabase } from './database.ts';
import { errorOf, openGroupWriter, type WriterOptions } from './group.ts';
import { createReader } from './reader.ts';
import type { Writer } from './writer.ts';
import { createFlushedWriter } from './writer-flushed.ts';
import { createInlineWriter } from './writer-inline.ts';

/** How the store is opened. */
export interface StoreOptions {
  /** The database; its directory is held for this process alone (`lock.ts`). */
  readonly file: string;
  /** 32 bytes that secrets are sealed with (`key.ts`). */
  readonly key: Uint8Array;
  readonly clock: Clock;
  /** `flushed`: the disk is waited for outside of the event loop. `inline`: in it, for tests and simulations. */
  readonly mode: 'flushed' | 'inline';
  /** `off`: a commit survives a killed process, not a power cut. `full` unless told. */
  readonly durability?: 'full' | 'off';
  /** Chance for the MACs that are made. */
  readonly random?: Random;
  /** Nothing can be written any more, for good: the process should end. Told once. */
  readonly onFailure?: (error: DpuError) => void;
  /** Called in this thread before a write is sent and after it is on the disk, before its caller knows. */
  readonly hooks?: {
    readonly beforeWrite?: (command: StoreCommand) => void;
    readonly afterWrite?: (command: StoreCommand) => void;
  };
  /** Casts that the outbox holds before superseded ones are dropped; 10,000 unless told. 0: nobody takes them, none are kept. */
  readonly outboxCap?: number;
  /** Pages of 4 KiB that the file may grow to; no limit unless told. */
  readonly maxPages?: number;
}

interface Pending {
  readonly command: StoreCommand;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: DpuError) => void;
}

const keyCheckId = 'key-check';

/**
 * Opens the node's store, making it at first start.
 * @throws DpuError `conflict` (another daemon has the directory), `internal` (damaged), `bad_state` (another program's
 * file, or a newer one), `denied` (not the key that its secrets were sealed with). The file is then left as it was.
 */
export async function openStore(options: StoreOptions): Promise<NodeStore> {
  const { file, clock, hooks } = options;
  const sealer = createSealer(options.key);
  const random = options.random ?? systemRandom;
  const durability = options.durability ?? 'full';
  const lock = lockState(dirname(file));
  const pending = new Map<number, Pending>();
  const listeners = new Set<(notice: CommitNotice) => void>();
  let queue: Batch[] = [];
  let lastId = 0;
  let failure: DpuError | null = null;
  let closing: Promise<void> | null = null;
  let onIdle = (): void => {};

  function onGroup({ results, notice }: GroupResult): void {
    for (const result of results) {
      const waiting = pending.get(result.id);
      if (!waiting) continue;
      pending.delete(result.id);
      if (!result.ok) {
        waiting.reject(errorOf(result.error));
        continue;
      }
      hooks?.afterWrite?.(waiting.command);
      waiting.resolve(result.answer);
    }
    if (notice.operations.length > 0 || notice.instances.length > 0 || notice.casts) {
      for (const listener of listeners) listener(notice);
    }
    if (pending.size === 0) onIdle();
  }

  function onFailure(error: DpuError): void {
    if (failure) return;
    failure = error;
    queue = [];
    const waiting = [...pending.values()];
    pending.clear();
    for (const { reject } of waiting) reject(error);
    onIdle();
    options.onFailure?.(error);
  }

  function flush(): void {
    if (failure || queue.length === 0) return;
    const batches = queue;
    queue = [];
    writer.send(batches);
  }

  function send<Type extends CommandType>(
    command: StoreCommand & { readonly type: Type },
  ): Promise<CommandAnswer<Type>> {
    if (failure) return Promise.reject(failure);
    if (closing !== null) return Promise.reject(new DpuError('unavailable', 'the store is closed'));
    hooks?.beforeWrite?.(command);
    lastId += 1;
    const id = lastId;
    return new Promise<CommandAnswer<Type>>((resolve, reject) => {
      pending.set(id, { command, resolve: (answer) => resolve(answer as CommandAnswer<Type>), reject });
      queue.push({ id, atMs: clock.wallMs(), command });
      if (queue.length === 1) queueMicrotask(flush);
    });
  }

  async function run(command: StoreCommand): Promise<void> {
    await send(command);
  }

  const { writer, reader } = opened();

  function opened(): ReturnType<typeof openBoth> {
    try {
      return openBoth();
    } catch (error) {
      lock.release();
      throw toDpuError(error, `opening the store ${file} failed`);
    }
  }

  /** One connection: what is read may be some milliseconds from the disk; nobody is told that it is there before it is. */
  function openBoth(): { readonly writer: Writer; readonly reader: ReturnType<typeof createReader> } {
    checkDatabase(storeDatabase(file, durability));
    const writerOptions: WriterOptions = {
      file,
      durability: options.mode === 'flushed' && durability === 'full' ? 'flushed' : durability,
      outboxCap: options.outboxCap ?? 10_000,
      maxPages: options.maxPages ?? 0,
    };
    const events = { onGroup, onFailure };
    const group = openGroupWriter(writerOptions);
    const writer =
      options.mode === 'inline' ? createInlineWriter(group, events) : createFlushedWriter(group, file, events);
    return { writer, reader: createReader(statementCache(group.db)) };
  }

  async function shut(): Promise<void> {
    flush();
    try {
      // Listeners still read what the last commits tell of.
      if (pending.size > 0) {
        await new Promise<void>((resolve) => {
          onIdle = resolve;
        });
      }
      await writer.close();
    } finally {
      lock.release();
    }
  }

  async function checkKey(): Promise<void> {
    const sealed = reader.keyCheck();
    if (!sealed) {
      await run({ type: 'set-key-check', sealed: sealer.seal(keyCheckId, keyCheckId) });
      return;
    }
    try {
      sealer.open(keyCheckId, sealed);
    } catch (cause) {
      throw new DpuError('denied', `the key is not the one that the secrets of the store ${file} were sealed with`, {
        cause,
      });
    }
  }
  await checkKey().catch(async (error: unknown) => {
    await shut();
    throw error;
  });

  const { sealedSecret, keyCheck: _, ...reads } = reader;
  return {
    ...reads,
    write: (entries) => (entries.length === 0 ? Promise.resolve() : run({ type: 'write', entries })),
    async readSecret(id) {
      const sealed = sealedSecret(id);
      if (!sealed) throw new DpuError('not_found', `the secret ${id} was erased or never kept`);
      return sealer.open(id, sealed);
    },
    accept: ({ secrets, ...request }) =>
      send({
        type: 'accept',
        request,
        secrets: secrets.map(({ id, text, keepWith }) => ({ id, keepWith, sealed: sealer.seal(id, text) })),
      }),
    supersede: (operation) => run({ type: 'supersede', operation }),
    change: (changes) => run({ type: 'change', changes }),
    adopt: (instance, functions, bindings) => run({ type: 'adopt', instance, functions, bindings }),
    allocatePort: (request) => send({ type: 'allocate-port', request, macStart: Math.floor(random.unit() * 2 ** 24) }),
    releasePort: (port) => run({ type: 'release-port', port }),
    castDelivered: (seq) => run({ type: 'cast-delivered', seq }),
    reportAllInstances: () => run({ type: 'report-all' }),
    setIdentity: (identity) => run({ type: 'set-identity', identity }),
    setSetting: (name, value) => run({ type: 'set-setting', name, value }),
    audit: (line) => run({ type: 'audit', line }),
    hmac: (value) => sealer.hmac(value),
    onCommit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    putPort: (port) => run({ type: 'put-port', port }),
    prune: (limits) => run({ type: 'prune', ...limits }),
    close() {
      closing ??= shut();
      return closing;
    },
  };
}
