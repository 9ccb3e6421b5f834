import { DpuError, type ErrorRecord } from '../../core/errors.ts';
import {
  isEnded,
  type JournalEntry,
  type OperationJournal,
  type OperationRecord,
  type OperationState,
} from '../../core/operation/journal.ts';
import type { StepPhase } from '../../core/operation/plan.ts';
import type { Clock } from '../../core/ports/clock.ts';
import { asId, type InstanceId, type Json, type JsonObject, type OperationId } from '../../core/units.ts';
import { createGroupCommit, openWalFlusher } from '../../kit/group-commit.ts';
import { createSealer, type Sealer } from '../../kit/seal.ts';
import { checkDatabase, openWriter, type Sql, sqliteCode, statementCache } from '../../kit/sqlite.ts';
import { flowDatabase } from './store-schema.ts';

/** A flow as the journal has it: an operation whose kind is nova's method. */
export type FlowRecord = OperationRecord<string>;

/** A flow to accept. */
export interface NewFlow {
  readonly id: OperationId;
  readonly instance: InstanceId;
  readonly method: string;
  readonly planVersion: number;
  readonly request: JsonObject;
  readonly requestId: string;
  /** oslo's id of the message; null: it had none. */
  readonly uniqueId: string | null;
  /** What it asks for: the same again is the same flow. */
  readonly key: string;
  /** Undoes what else is under way for the instance, and runs then. */
  readonly overtakes: boolean;
}

/** What became of a flow that was to be accepted. */
export interface Accepted {
  readonly flow: FlowRecord;
  /** False: it was there before. */
  readonly fresh: boolean;
  /** Flows that it overtakes. */
  readonly overtaken: readonly OperationId[];
}

/** The adapter's journal. Writes are grouped, durable when they resolve, and applied in the order of the calls. Everything nova said is sealed. */
export interface FlowStore extends OperationJournal {
  /**
   * Journals a flow as `queued` behind the others of its instance. The same message or the same request again answers the first.
   */
  accept(flow: NewFlow): Promise<Accepted>;
  get(id: OperationId): FlowRecord | null;
  /** Queued, running, unwinding and stuck ones, oldest first. */
  unended(): readonly FlowRecord[];
  /** Those of one instance, oldest first. */
  unendedOf(instance: string): readonly FlowRecord[];
  /** Newest first, without what nova said. */
  list(limit: number): readonly FlowRecord[];
  /** Ends a stuck flow that another one overtakes as `failed`. */
  supersede(id: OperationId): Promise<void>;
  /** Forgets ended flows beyond the newest `keep`. */
  prune(keep: number): Promise<void>;
  close(): Promise<void>;
}

/** How the journal is opened. */
export interface FlowStoreOptions {
  readonly file: string;
  /** 32 bytes: the store's. */
  readonly key: Uint8Array;
  readonly clock: Clock;
  readonly durability?: 'full' | 'off';
  /** Told of every entry that was committed; for tests that lose power here. */
  readonly onCommit?: (entries: readonly JournalEntry[]) => void;
}

const ended = "('succeeded', 'failed', 'cancelled')";

interface FlowRow {
  readonly id: string;
  readonly instance: string;
  readonly method: string;
  readonly plan_version: number;
  readonly state: string;
  readonly request: Uint8Array | null;
  readonly input: Uint8Array | null;
  readonly result: Uint8Array | null;
  readonly error: string | null;
  readonly cancel_requested: number;
  readonly waits_for: string | null;
  readonly request_id: string;
  readonly created_at: number;
  readonly updated_at: number;
}

interface StepRow {
  readonly name: string;
  readonly phase: string;
  readonly attempts: number;
  readonly output: Uint8Array | null;
  readonly error: string | null;
  readonly started_at: number | null;
  readonly ended_at: number | null;
}

/** Opens the journal of flows. @throws DpuError as openWriter and checkDatabase. */
export function openFlowStore(options: FlowStoreOptions): FlowStore {
  const durability = options.durability ?? 'full';
  const database = flowDatabase(options.file, durability === 'full' ? 'flushed' : durability);
  checkDatabase(database);
  const db = openWriter(database);
  const sql = statementCache(db);
  const sealer = createSealer(options.key);
  const now = (): number => Math.round(options.clock.wallMs());

  interface Work {
    run(): void;
    readonly entries: readonly JournalEntry[];
    resolve(): void;
    reject(error: unknown): void;
  }
  const flusher = durability === 'full' ? openWalFlusher(options.file) : null;
  let pending: Work[] = [];
  let closed = false;

  /** All of a group is one transaction; a failure is everybody's, since nothing may go on after it. */
  const commits = createGroupCommit<Work, void>({
    run(group) {
      try {
        sql('BEGIN IMMEDIATE').run();
        for (const work of group) work.run();
        sql('COMMIT').run();
      } catch (error) {
        if (db.inTransaction) db.exec('ROLLBACK');
        throw error;
      }
    },
    flush: flusher && (() => flusher.flush()),
    done(_, group) {
      for (const work of group) {
        options.onCommit?.(work.entries);
        work.resolve();
      }
    },
    failed(error, group) {
      const failure = failureOf(error, options.file);
      for (const work of group) work.reject(failure);
    },
  });

  function flush(): void {
    const group = pending;
    pending = [];
    if (group.length > 0) commits.add(group);
  }

  function commit<Answer>(run: () => Answer, entries: readonly JournalEntry[] = []): Promise<Answer> {
    if (closed) return Promise.reject(new DpuError('unavailable', 'the journal is closed'));
    return new Promise((resolve, reject) => {
      let answer: Answer;
      if (pending.length === 0) setImmediate(flush);
      pending.push({
        run: () => {
          answer = run();
        },
        entries,
        resolve: () => resolve(answer),
        reject,
      });
    });
  }

  const read = (where: string, ...args: readonly unknown[]): readonly FlowRecord[] =>
    (sql(`SELECT * FROM flows WHERE ${where}`).all(...args) as FlowRow[]).map((row) => flowOf(sql, sealer, row, true));

  function accept(flow: NewFlow): Accepted {
    const [before] = read('(unique_id IS NOT NULL AND unique_id = ?) OR key = ? LIMIT 1', flow.uniqueId, flow.key);
    if (before) return { flow: before, fresh: false, overtaken: [] };
    const others = sql(`SELECT id, method FROM flows WHERE instance = ? AND state NOT IN ${ended} ORDER BY seq`).all(
      flow.instance,
    ) as { id: string; method: string }[];
    const overtaken = flow.overtakes ? others.filter(({ method }) => method !== flow.method).map(({ id }) => id) : [];
    for (const id of overtaken) sql('UPDATE flows SET cancel_requested = 1 WHERE id = ?').run(id);
    const at = now();
    const waitsFor = others.at(-1)?.id ?? null;
    sql(`INSERT INTO flows (id, instance, method, plan_version, state, request, waits_for, request_id, unique_id, key,
        created_at, updated_at) VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)`).run(
      flow.id,
      flow.instance,
      flow.method,
      flow.planVersion,
      seal(sealer, flow.id, 'request', flow.request),
      waitsFor,
      flow.requestId,
      flow.uniqueId,
      flow.key,
      at,
      at,
    );
    const made: FlowRecord = {
      id: flow.id,
      kind: flow.method,
      planVersion: flow.planVersion,
      instance: flow.instance,
      state: 'queued',
      request: flow.request,
      input: null,
      stateBefore: null,
      cancelRequested: false,
      waitsFor: waitsFor === null ? null : asId<OperationId>(waitsFor),
      steps: [],
      result: null,
      error: null,
      requestedBy: 'nova',
      requestId: flow.requestId,
      createdAtMs: at,
      updatedAtMs: at,
    };
    return { flow: made, fresh: true, overtaken: overtaken.map((id) => asId<OperationId>(id)) };
  }

  return {
    accept: (flow) => commit(() => accept(flow)),
    write: (entries) =>
      commit(() => {
        for (const entry of entries) apply(sql, sealer, entry, now());
      }, entries),
    async readSecret() {
      throw new DpuError('not_found', 'a flow has its secrets in its own sealed request');
    },
    get: (id) => read('id = ?', id)[0] ?? null,
    unended: () => read(`state NOT IN ${ended} ORDER BY seq`),
    unendedOf: (instance) => read(`instance = ? AND state NOT IN ${ended} ORDER BY seq`, instance),
    list: (limit) =>
      (sql('SELECT * FROM flows ORDER BY seq DESC LIMIT ?').all(limit) as FlowRow[]).map((row) =>
        flowOf(sql, sealer, row, false),
      ),
    supersede: (id) => commit(() => end(sql, id, 'failed', now())),
    prune: (keep) =>
      commit(() => {
        sql(`DELETE FROM flows WHERE state IN ${ended}
          AND seq <= coalesce((SELECT seq FROM flows ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)`).run(keep);
      }),
    async close() {
      if (closed) return;
      closed = true;
      flush();
      await commits.idle();
      flusher?.close();
      db.close();
    },
  };
}

function failureOf(error: unknown, file: string): DpuError {
  if (error instanceof DpuError) return error;
  return new DpuError('internal', `writing ${file} failed (${sqliteCode(error) ?? 'unknown'})`, { cause: error });
}

/** Stands for `true`, which most stages answer and which tells nothing: what is sealed is longer. */
const plainTrue = Uint8Array.of(1);

function seal(sealer: Sealer, flow: string, what: string, value: Json): Uint8Array {
  return value === true ? plainTrue : sealer.seal(`${flow}:${what}`, JSON.stringify(value));
}

function opened(sealer: Sealer, flow: string, what: string, sealed: Uint8Array | null): Json {
  if (sealed?.length === plainTrue.length) return true;
  return sealed === null ? null : (JSON.parse(sealer.open(`${flow}:${what}`, sealed)) as Json);
}

function errorOf(text: string | null): ErrorRecord | null {
  return text === null ? null : (JSON.parse(text) as ErrorRecord);
}

function flowOf(sql: Sql, sealer: Sealer, row: FlowRow, whole: boolean): FlowRecord {
  const steps = sql('SELECT * FROM steps WHERE flow = ? ORDER BY position').all(row.id) as StepRow[];
  const content = (what: 'request' | 'input' | 'result'): Json =>
    whole ? opened(sealer, row.id, what, row[what]) : null;
  return {
    id: asId<OperationId>(row.id),
    kind: row.method,
    planVersion: row.plan_version,
    instance: asId<InstanceId>(row.instance),
    state: row.state as OperationState,
    request: (content('request') ?? {}) as JsonObject,
    input: content('input') as JsonObject | null,
    stateBefore: null,
    cancelRequested: row.cancel_requested === 1,
    waitsFor: row.waits_for === null ? null : asId<OperationId>(row.waits_for),
    steps: steps.map((step) => ({
      name: step.name,
      phase: step.phase as StepPhase,
      attempts: step.attempts,
      output: whole ? opened(sealer, row.id, `output:${step.name}`, step.output) : null,
      error: errorOf(step.error),
      startedAtMs: step.started_at,
      endedAtMs: step.ended_at,
    })),
    result: content('result'),
    error: errorOf(row.error),
    requestedBy: 'nova',
    requestId: row.request_id,
    createdAtMs: row.created_at,
    updatedAtMs: row.updated_at,
  };
}

function apply(sql: Sql, sealer: Sealer, entry: JournalEntry, at: number): void {
  switch (entry.type) {
    case 'records':
      return; // flows keep nothing but themselves
    case 'cancel-requested':
      sql('UPDATE flows SET cancel_requested = 1, updated_at = ? WHERE id = ?').run(at, entry.operation);
      return;
    case 'started':
      sql("UPDATE flows SET state = 'running', input = ?, updated_at = ? WHERE id = ?").run(
        seal(sealer, entry.operation, 'input', entry.input),
        at,
        entry.operation,
      );
      entry.steps.forEach((name, position) => {
        sql("INSERT INTO steps (flow, position, name, phase) VALUES (?, ?, ?, 'pending')").run(
          entry.operation,
          position,
          name,
        );
      });
      return;
    case 'step':
      sql(`UPDATE steps SET phase = ?, attempts = ?, error = ?, output = coalesce(?, output),
          started_at = CASE WHEN ? = 'doing' THEN ? ELSE started_at END,
          ended_at = CASE WHEN ? IN ('done', 'undone') THEN ? ELSE ended_at END
        WHERE flow = ? AND name = ?`).run(
        entry.phase,
        entry.attempts,
        entry.error ? JSON.stringify(entry.error) : null,
        entry.output === undefined || entry.output === null
          ? null
          : seal(sealer, entry.operation, `output:${entry.step}`, entry.output),
        entry.phase,
        at,
        entry.phase,
        at,
        entry.operation,
        entry.step,
      );
      return;
    case 'state': {
      const { operation, state } = entry;
      const result =
        entry.result === undefined || entry.result === null ? null : seal(sealer, operation, 'result', entry.result);
      sql('UPDATE flows SET state = ?, error = ?, result = ?, updated_at = ? WHERE id = ?').run(
        state,
        entry.error ? JSON.stringify(entry.error) : null,
        result,
        at,
        operation,
      );
      if (isEnded(state)) erase(sql, operation);
      return;
    }
  }
}

function end(sql: Sql, id: string, state: OperationState, at: number): void {
  sql('UPDATE flows SET state = ?, updated_at = ? WHERE id = ?').run(state, at, id);
  erase(sql, id);
}

/** What nova said goes with the flow's end; what is left tells an operator what was done. */
function erase(sql: Sql, id: string): void {
  sql('UPDATE flows SET request = NULL, input = NULL WHERE id = ?').run(id);
  sql('UPDATE steps SET output = NULL WHERE flow = ?').run(id);
}
