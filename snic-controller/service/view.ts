import type { FunctionAnswer } from '../../schemas/generated/snic-rpc.ts';
import type { Backend, BackendFunction } from '../backends/backend.ts';
import type { FunctionRecord, Phase } from '../store/store.ts';

const shown: readonly Phase[] = ['plugging', 'plugged', 'unplugging'];

/** The hardware's side of each function of ours, and what else the card has. */
export interface Matched {
  readonly ours: ReadonlyMap<string, BackendFunction>;
  readonly foreign: readonly BackendFunction[];
}

/**
 * Tells ours from others'. A function that bears an id is the one with that id, wherever it is. One that can't bear witness is ours if it has the
 * place of one of ours and is what we made there; otherwise somebody else has taken the place.
 */
export function match(
  backend: Pick<Backend, 'keyOf'>,
  records: readonly FunctionRecord[],
  found: readonly BackendFunction[],
): Matched {
  const ours = new Map<string, BackendFunction>();
  const foreign: BackendFunction[] = [];
  const byId = new Map<string, FunctionRecord>(records.map((record) => [record.id, record]));
  const byKey = new Map<string, FunctionRecord>();
  for (const record of records) {
    const key = record.reservation === null ? null : backend.keyOf(record.reservation);
    if (key !== null) byKey.set(key, record);
  }
  for (const each of found) {
    const record = each.id === null ? byKey.get(each.key) : byId.get(each.id);
    if (record && (each.id !== null || looksLike(record, each))) ours.set(record.id, each);
    else foreign.push(each);
  }
  return { ours, foreign };
}

function looksLike(record: FunctionRecord, found: BackendFunction): boolean {
  if (record.type !== found.type || record.class !== found.class) return false;
  if (found.mac !== null && found.mac !== record.mac) return false;
  return !found.plugged || shown.includes(record.phase);
}

/** A function of ours as it is answered; `found` is absent where the card shows no trace of it. */
export function viewOf(record: FunctionRecord, found: BackendFunction | undefined): FunctionAnswer {
  const plugged = found?.plugged ?? false;
  const bdf = plugged ? (found?.bdf ?? null) : null;
  return {
    id: record.id,
    mac: record.mac,
    bdf,
    bdf_state: bdfState(record, found, bdf),
    features: [...record.features],
    type: record.type,
    class: record.class,
    plugged,
    unplug_pending: plugged && (found?.unplugPending ?? false),
    representor: found?.representor ?? record.representor,
    vuid: found?.vuid ?? record.vuid,
    parent: record.parent,
    link: record.link,
    rate: record.rate,
    mark: record.mark as FunctionAnswer['mark'],
    foreign: false,
  };
}

function bdfState(
  record: FunctionRecord,
  found: BackendFunction | undefined,
  bdf: string | null,
): FunctionAnswer['bdf_state'] {
  if (bdf === null) return found?.bdfState === 'unknown' ? 'unknown' : 'pending';
  if (record.bdf !== null && record.bdf !== bdf) return 'changed';
  return found?.bdfState === 'changed' ? 'changed' : 'assigned';
}

/** The id under which a function of somebody else is listed: the one that it bears, else the card's name for it. */
export function foreignId(found: BackendFunction): string {
  return found.id ?? found.key;
}

/** A function of somebody else as it is answered. */
export function foreignViewOf(found: BackendFunction): FunctionAnswer {
  const { mac, bdf, bdfState: bdf_state, type, class: cls, plugged, unplugPending, representor, vuid } = found;
  return {
    id: foreignId(found),
    mac,
    bdf,
    bdf_state,
    features: [],
    type,
    class: cls,
    plugged,
    unplug_pending: unplugPending,
    representor,
    vuid,
    parent: null,
    link: null,
    rate: null,
    mark: null,
    foreign: true,
  };
}
