/** What Prometheus sees. Labels are kinds, states, codes and routes: never an instance or a host. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../core/errors.ts';
import type { Operation } from '../schemas/generated/operation.ts';

/** The end of an operation, as it is counted. */
export interface OperationEnd {
  readonly kind: Operation['kind'];
  readonly state: Operation['state'];
  /** Code of its error; null: none. */
  readonly code: ErrorCode | null;
  readonly seconds: number;
}

/** A request that was answered. `route` is the route's pattern, `none` where no route matched. */
export interface HttpExchange {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

/** The daemon's counters. Every method is cheap, synchronous and never throws. */
export interface Metrics {
  operationEnded(end: OperationEnd): void;
  /** Operations that are not over, by state; states that are left out are 0. */
  setOperations(counts: Readonly<Partial<Record<Operation['state'], number>>>): void;
  /** A group of entries was committed; `seconds` is how long the commit took. */
  journalCommitted(entries: number, seconds: number): void;
  setBrokerConnected(connected: boolean): void;
  /** Casts that the broker has not confirmed yet. */
  setOutboxDepth(casts: number): void;
  /** Ids of the reasons that hold now. */
  setNotReadyReasons(ids: readonly string[]): void;
  /** What was looked at, with what it came to. */
  setHealth(checks: readonly { readonly id: string; readonly state: string; readonly reason: string | null }[]): void;
  httpAnswered(exchange: HttpExchange): void;
  /** Event streams open now. */
  setEventStreams(streams: number): void;
  /** An event stream was closed because its client read too slowly. */
  eventStreamDropped(): void;
  /** Called before a page is made: what costs something to find out need not be known all the time. Answers how to stop. */
  beforeRender(look: () => void): () => void;
  /** The page in Prometheus' text format. */
  render(): Promise<string>;
  /** Content type of the page. */
  readonly contentType: string;
}

/** How often the event loop's lag is looked at, in milliseconds: by prom-client's 10, an idle daemon would wake up for nothing else (150 ms of CPU a minute). */
const lagPrecisionMs = 1000;

const healthValues: Readonly<Record<string, number>> = { ok: 0, warn: 1, fail: 2, unknown: -1 };
const openStates: readonly Operation['state'][] = ['queued', 'running', 'unwinding', 'stuck'];
const operationBuckets = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900];
const commitBuckets = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1];
const httpBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30];

/** Makes a registry of its own: two daemons in one process do not share counters. `process`: Node's own metrics too. */
export function createMetrics(options: { readonly process?: boolean } = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const looks = new Set<() => void>();
  if (options.process ?? true)
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: lagPrecisionMs });

  const ended = new Counter({
    name: 'dpu_operations_total',
    help: 'Operations that ended, or got stuck',
    labelNames: ['kind', 'state', 'code'],
    registers,
  });
  const duration = new Histogram({
    name: 'dpu_operation_duration_seconds',
    help: 'From acceptance to the end',
    labelNames: ['kind', 'state'],
    buckets: operationBuckets,
    registers,
  });
  const open = new Gauge({
    name: 'dpu_operations',
    help: 'Operations that are not over',
    labelNames: ['state'],
    registers,
  });
  const entriesWritten = new Counter({ name: 'dpu_journal_entries_total', help: 'Entries committed', registers });
  const commits = new Histogram({
    name: 'dpu_journal_commit_seconds',
    help: 'One commit of the journal',
    buckets: commitBuckets,
    registers,
  });
  const broker = new Gauge({ name: 'dpu_broker_connected', help: '1: connected to the broker', registers });
  const outbox = new Gauge({ name: 'dpu_outbox_casts', help: 'Casts not yet confirmed', registers });
  const notReady = new Gauge({
    name: 'dpu_not_ready',
    help: '1 for every reason not to be ready that holds',
    labelNames: ['reason'],
    registers,
  });
  const warnings = new Gauge({
    name: 'dpu_warning',
    help: '1 for every warning that holds',
    labelNames: ['warning'],
    registers,
  });
  const health = new Gauge({
    name: 'dpu_health',
    help: 'What was looked at: 0 fine, 1 warning, 2 keeps instances away, -1 not to be told',
    labelNames: ['check'],
    registers,
  });
  const http = new Histogram({
    name: 'dpu_http_request_seconds',
    help: 'Answered requests',
    labelNames: ['method', 'route', 'status'],
    buckets: httpBuckets,
    registers,
  });
  const streams = new Gauge({ name: 'dpu_event_streams', help: 'Open event streams', registers });
  const dropped = new Counter({
    name: 'dpu_event_streams_dropped_total',
    help: 'Event streams closed because the client was slow',
    registers,
  });

  return {
    operationEnded: ({ kind, state, code, seconds }) => {
      ended.inc({ kind, state, code: code ?? 'none' });
      duration.observe({ kind, state }, seconds);
    },
    setOperations: (counts) => {
      for (const state of openStates) open.set({ state }, counts[state] ?? 0);
    },
    journalCommitted: (entries, seconds) => {
      entriesWritten.inc(entries);
      commits.observe(seconds);
    },
    setBrokerConnected: (connected) => broker.set(connected ? 1 : 0),
    setOutboxDepth: (casts) => outbox.set(casts),
    setNotReadyReasons: (ids) => {
      notReady.reset();
      for (const reason of ids) notReady.set({ reason }, 1);
    },
    setHealth: (checks) => {
      warnings.reset();
      health.reset();
      for (const { id, state, reason } of checks) {
        health.set({ check: id }, healthValues[state] ?? -1);
        if (state === 'warn' && reason !== null) warnings.set({ warning: reason }, 1);
      }
    },
    httpAnswered: ({ method, route, status, seconds }) => http.observe({ method, route, status }, seconds),
    setEventStreams: (count) => streams.set(count),
    eventStreamDropped: () => dropped.inc(),
    beforeRender(look) {
      looks.add(look);
      return () => looks.delete(look);
    },
    render() {
      for (const look of looks) look();
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
}
