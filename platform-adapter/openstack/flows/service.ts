import { DpuError, errorRecord, hasCode } from '../../../core/errors.ts';
import { createEngine, type Engine } from '../../../core/operation/engine.ts';
import { isEnded } from '../../../core/operation/journal.ts';
import { createKeyedLock } from '../../../core/operation/keyed-lock.ts';
import { asId, type InstanceId, type Json, type JsonObject, type OperationId } from '../../../core/units.ts';
import type { Accepted, FlowRecord, FlowStore, NewFlow } from '../store.ts';
import type { ReceivedContext } from '../wire/context.ts';
import { endEvent, isAway, putBack, writeFault } from './bracket.ts';
import { type Flow, type FlowDefinition, type FlowParts, makingMs, patientRetry } from './flow.ts';
import { tellOfFailure } from './notify.ts';
import { currentInstance } from './nova-record.ts';
import { openFlow, type StoredRequest } from './scope.ts';

/** A request of nova that becomes a flow. */
export interface Cast {
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly received: ReceivedContext;
  /** oslo's id of the message; null: it had none. */
  readonly uniqueId: string | null;
}

/** What flows are run with. */
export interface FlowServiceParts {
  readonly store: FlowStore;
  readonly flows: FlowParts;
  /** Method -> flow. */
  readonly table: Readonly<Record<string, FlowDefinition>>;
  /** Flows that run at once. */
  readonly maxConcurrent: number;
  /** The journal failed: nothing may go on. */
  readonly onFatal: (error: unknown) => void;
}

/** Nova's requests at work. */
export interface FlowService {
  /** Goes on with what the journal has. */
  start(): void;
  /** Journals a request; it may be acknowledged to the broker then. The same one again answers the first. @throws `invalid`, `unsupported`. */
  accept(cast: Cast): Promise<FlowRecord>;
  /** As `accept`, and waits for the end: for calls. @throws the flow's error; the signal's reason. */
  run(cast: Cast, signal: AbortSignal): Promise<Json>;
  /**
   * Ends what an earlier process began for a server that another host has by now, and takes nothing back: its ports and volumes are that host's. Only
   * before `start`, since nothing of it may run.
   */
  abandon(instance: string): Promise<void>;
  /** Whether something is under way for the server; with `method`, a flow of that one. */
  busy(instance: string, method?: string): boolean;
  /** Newest first, for operators. */
  list(limit: number): readonly FlowRecord[];
  /** Takes a stuck flow up again. @throws `bad_state`. */
  retry(id: string): Promise<void>;
  /** Ends when the flow has ended or is stuck. */
  settled(id: string, signal?: AbortSignal): Promise<void>;
  counts: Engine<string>['counts'];
  /** Begins nothing more; flows go on at the next start. */
  stop(drainMs: number): Promise<void>;
}

/** Ended flows that an operator may still look at. */
const keptFlows = 1000;

/** How often ended ones are counted: after so many new ones. */
const pruneEvery = 100;

/** Makes the service; nothing runs before `start`. */
export function createFlowService(parts: FlowServiceParts): FlowService {
  const { store, table, flows } = parts;
  const { log, random, clock } = flows;
  const credentials = new Map<string, NonNullable<ReceivedContext['credentials']>>();
  /** What a flow that somebody waits for failed with, whole. */
  const failures = new Map<string, DpuError>();
  const waitedFor = new Set<string>();
  const stopped = new AbortController();
  let accepted = 0;

  const definitionOf = (method: string): FlowDefinition => {
    const found = Object.hasOwn(table, method) ? table[method] : undefined;
    if (!found) throw new DpuError('unsupported', `there is no flow for ${method}`);
    return found;
  };
  const open = (record: FlowRecord, facts: JsonObject): Flow => {
    const { event = `compute_${record.kind}` } = definitionOf(record.kind);
    return openFlow(flows, credentials, record, { event, facts }, (error) => {
      if (waitedFor.has(record.id)) failures.set(record.id, error);
    });
  };

  const engine = createEngine<string>({
    journal: store,
    planner: {
      async prepare(record, signal) {
        return (await definitionOf(record.kind).prepare?.(open(record, {}), signal)) ?? {};
      },
      plan: (record, facts) => definitionOf(record.kind).plan(open(record, facts), record.planVersion),
      settle: () => [],
    },
    clock,
    random,
    log,
    gate: createKeyedLock(),
    maxConcurrent: parts.maxConcurrent,
    graceMs: makingMs + 5_000,
    load: (id) => store.get(id),
    supersede: (id) => store.supersede(id),
    onFatal: parts.onFatal,
  });

  /** Follows a flow to its end: its user's token goes with it, and one that is stuck must not leave its server in a task state. */
  function follow(record: FlowRecord): void {
    engine
      .settled(record.id)
      .then(async () => {
        const end = store.get(record.id);
        if (end && isEnded(end.state)) credentials.delete(record.id);
        if (end?.state === 'stuck') await told(end.id, tellStuck);
      })
      .catch((error: unknown) => log.warn('nova was not told of a stuck flow', { flow: record.id, error }));
  }

  /** Tells nova of a stuck flow however long nova is away, unless it goes on meanwhile or the daemon stops. */
  async function told(id: OperationId, tell: (record: FlowRecord) => Promise<void>): Promise<void> {
    const { firstDelayMs, factor, maxDelayMs } = patientRetry;
    for (let delay = firstDelayMs; ; delay = Math.min(delay * factor, maxDelayMs)) {
      const record = store.get(id);
      if (record?.state !== 'stuck' || stopped.signal.aborted) return;
      try {
        await tell(record);
        return;
      } catch (error) {
        if (!isAway(error)) throw error;
      }
      try {
        await clock.sleep(delay, stopped.signal);
      } catch {
        return; // the daemon stops; the next one looks again
      }
    }
  }

  /** As `tellStuck`, for one that was stuck when the daemon ended: a server that has no task any more was told of then. */
  async function tellAgain(record: FlowRecord): Promise<void> {
    if (store.unendedOf(record.instance).length > 1) return; // a later request has the server
    const conductor = open(record, {}).conductor(AbortSignal.timeout(120_000));
    const now = await currentInstance(conductor, record.instance);
    if (now !== undefined && now.task_state !== null) await tellStuck(record);
  }

  /** What waits for an operator here is an error to nova's users. */
  async function tellStuck(record: FlowRecord): Promise<void> {
    const flow = open(record, {});
    const { error } = record;
    const failure = new DpuError(error?.code ?? 'internal', error?.message ?? `${record.kind} cannot go on`);
    const signal = AbortSignal.timeout(120_000);
    await tellOfFailure(flow, failure, signal);
    await writeFault(flow, failure, signal);
    await putBack(flow, 'error', signal, { evenDeleting: true });
    await endEvent(flow, signal, failure);
  }

  /** A request that can't be journaled must not be acknowledged: the process ends, and the broker gives it again at the next start. */
  async function journaled(flow: NewFlow): Promise<Accepted> {
    try {
      return await store.accept(flow);
    } catch (error) {
      if (hasCode(error, 'internal')) parts.onFatal(error);
      throw error;
    }
  }

  async function accept({ method, args, received, uniqueId }: Cast): Promise<FlowRecord> {
    const definition = definitionOf(method);
    const { instance, request } = definition.read(args);
    // part of the request, so that the plan is the same whatever is configured later
    const kept = flows.notifier ? { ...request, notify: true } : request;
    const stored: StoredRequest = { context: received.context, args: kept };
    const requestId = received.context.request_id;
    const {
      flow: record,
      fresh,
      overtaken,
    } = await journaled({
      id: asId<OperationId>(random.uuid()),
      instance: asId<InstanceId>(instance),
      method,
      planVersion: definition.planVersion,
      request: stored as unknown as JsonObject,
      requestId,
      uniqueId,
      key: `${method} ${instance} ${requestId} ${typeof request.key === 'string' ? request.key : ''}`,
      overtakes: definition.overtakes ?? false,
    });
    if (!fresh) {
      // not acknowledged before the daemon died: the token that died with it is back
      if (received.credentials && !isEnded(record.state)) credentials.set(record.id, received.credentials);
      log.debug('a request came again', { flow: record.id, method, instance });
      return record;
    }
    if (received.credentials) credentials.set(record.id, received.credentials);
    engine.submit(record);
    follow(record);
    for (const id of overtaken) if (engine.mayCancel(id)) engine.cancel(id);
    accepted += 1;
    if (accepted % pruneEvery === 0) await store.prune(keptFlows);
    return record;
  }

  return {
    start() {
      for (const record of store.unended()) {
        engine.submit(record);
        if (record.state !== 'stuck') follow(record);
        else
          told(record.id, tellAgain).catch((error: unknown) =>
            log.warn('nova was not told of a stuck flow', { flow: record.id, error }),
          );
      }
    },
    accept,
    async run(cast, signal) {
      const { id } = await accept(cast);
      waitedFor.add(id);
      try {
        await engine.settled(id, signal);
        const end = store.get(id);
        if (end?.state === 'succeeded') return end.result;
        if (end && !isEnded(end.state) && end.state !== 'stuck')
          throw new DpuError('unavailable', 'the daemon stops; the request goes on at its next start');
        const { code, message } = end?.error ?? { code: 'conflict', message: 'another request has overtaken it' };
        throw failures.get(id) ?? new DpuError(code, message);
      } finally {
        waitedFor.delete(id);
        failures.delete(id);
      }
    },
    async abandon(instance) {
      const error = errorRecord(new DpuError('conflict', 'another host has the server'));
      for (const { id, kind } of store.unendedOf(instance)) {
        log.warn('a request is given up: another host has the server', { flow: id, method: kind, instance });
        await store.write([{ type: 'state', operation: id, state: 'failed', error }]);
      }
    },
    busy: (instance, method) => store.unendedOf(instance).some(({ kind }) => method === undefined || kind === method),
    list: (limit) => store.list(limit),
    async retry(id) {
      const record = store.get(asId<OperationId>(id));
      if (!record) throw new DpuError('not_found', 'there is no such flow', { field: 'id' });
      await engine.retry(record.id);
      follow(record);
    },
    settled: (id, signal) => engine.settled(asId<OperationId>(id), signal),
    counts: engine.counts,
    async stop(drainMs) {
      stopped.abort();
      await engine.stop(drainMs);
    },
  };
}
