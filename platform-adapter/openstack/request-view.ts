import { isEnded } from '../../core/operation/journal.ts';
import type { PlatformRequest } from '../../schemas/generated/rest.ts';
import type { FlowRecord } from './store.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/** A flow as operators see it: what was asked for and how far it is, and nothing of what nova said. */
export function requestView(record: FlowRecord): PlatformRequest {
  return {
    id: record.id,
    method: record.kind,
    instance: record.instance,
    state: record.state,
    steps: record.steps.map(({ name, phase, startedAtMs, endedAtMs, attempts, error }) => ({
      name,
      phase,
      started_at: startedAtMs === null ? null : iso(startedAtMs),
      ended_at: endedAtMs === null ? null : iso(endedAtMs),
      attempts,
      ...(error === null ? {} : { error }),
    })),
    error: record.error,
    left: leftOf(record),
    request_id: record.requestId,
    created_at: iso(record.createdAtMs),
    updated_at: iso(record.updatedAtMs),
  };
}

/** What an undo could not take back: its step was begun to be undone, and never was. */
function leftOf({ state, steps }: FlowRecord): string[] {
  if (!isEnded(state)) return [];
  return steps.flatMap(({ name, phase, error }) =>
    phase === 'undoing' && error !== null ? [`${name}: ${error.message}`] : [],
  );
}
