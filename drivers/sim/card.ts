import { createHash } from 'node:crypto';
import { requireSame } from '../../core/difference.ts';
import { DpuError } from '../../core/errors.ts';
import type { FunctionSpec, FunctionState, SnicController } from '../../core/ports/snic-controller.ts';
import type { FunctionId, Mac } from '../../core/units.ts';
import type { Caller } from './call.ts';
import { inUse, isServed, lostKey, lostPort, type SimContext } from './context.ts';
import { machineWith } from './machines.ts';
import type { FunctionRow, WorldState } from './rows.ts';

/** Name of the representor of a network function in a slot. */
export function representorOf(row: Pick<FunctionRow, 'class' | 'slot' | 'type'>): string | null {
  if (row.class !== 'virtio-net') return null;
  return row.type === 'VF' ? `pf0vf${row.slot}` : `pf${row.slot}rep0`;
}

/** The network function whose representor has this name. */
export function functionOfRepresentor(state: WorldState, representor: string): FunctionRow | undefined {
  return state.functions.rows().find((row) => representorOf(row) === representor);
}

/** The card behind its port. */
export function simSnic(context: SimContext, call: Caller): SnicController {
  const { state, faults, options } = context;
  const view = (row: FunctionRow): FunctionState => {
    const { slot: _slot, ...rest } = row;
    return { ...rest, representor: representorOf(row), vuid: `${options.host.serialNumber}-${row.type}${row.slot}` };
  };
  const mine = (id: FunctionId): FunctionRow | undefined => {
    const row = state.functions.get(id);
    if (row === undefined || row.mark !== null) return row;
    context.violate('foreign-touched', id, 'a function that another made');
    throw new DpuError('denied', `function ${id} is not ours`);
  };
  return {
    describe: (signal) =>
      call({
        method: 'describe',
        key: '',
        signal,
        reads: true,
        effect: () => ({
          model: options.model,
          capacity: options.functions,
          free: options.functions - state.functions.size,
          hostRestricted: true,
        }),
      }),
    ensureFunction: (spec, signal) =>
      call({
        method: 'ensureFunction',
        key: spec.id,
        signal,
        effect: () => view(state.functions.get(spec.id) ? sameFunction(state, spec) : makeFunction(context, spec)),
      }),
    plugFunction: (id, signal) =>
      call({
        method: 'plugFunction',
        key: id,
        signal,
        effect: () => {
          const row = mine(id);
          if (row === undefined) throw new DpuError('not_found', `card has no function ${id}`);
          if (row.plugged) return view(row);
          const plugged: FunctionRow = { ...row, plugged: true, bdf: null, bdfState: 'pending' };
          state.functions.set(id, plugged);
          context.host.plugged(plugged);
          if (inUse(context, plugged) && !isServed(state, plugged)) {
            context.violate('shown-unserved', id, 'plugged into a running host with nothing behind it');
          }
          context.host.settle();
          return view(state.functions.get(id) ?? plugged);
        },
      }),
    unplugFunction: (id, { deadlineMs }, signal) =>
      call({
        method: 'unplugFunction',
        key: id,
        signal,
        before: async (wait) => {
          context.host.settle();
          if (!inUse(context, state.functions.get(id))) return;
          if (!faults.take({ port: 'snic', method: 'unplugFunction', key: id }, 'not-released')) return;
          await wait(deadlineMs);
          throw new DpuError('busy', `host did not release function ${id}`);
        },
        effect: () => {
          const row = mine(id);
          const holder = machineWith(state, id);
          if (holder) {
            context.violate('taken-from-machine', id, `machine ${holder.instance} has it`);
            throw new DpuError('busy', `function ${id} is a machine's`);
          }
          if (row?.plugged) state.functions.set(id, { ...row, plugged: false, bdf: null, bdfState: 'pending' });
        },
      }),
    releaseFunction: (id, signal) =>
      call({
        method: 'releaseFunction',
        key: id,
        signal,
        effect: () => {
          const row = mine(id);
          if (row?.plugged) {
            context.violate('released-while-plugged', id, 'the host can see it');
            throw new DpuError('bad_state', `function ${id} is plugged`);
          }
          state.functions.delete(id);
          state.lost.delete(lostKey('attachment', id));
          const port = lostPort(state, id);
          if (port) state.lost.delete(lostKey('port', port.portId));
        },
      }),
    listFunctions: (signal) =>
      call({
        method: 'listFunctions',
        key: '',
        signal,
        reads: true,
        effect: () => state.functions.rows().map(view),
      }),
  };
}

function sameFunction(state: WorldState, spec: FunctionSpec): FunctionRow {
  const row = state.functions.get(spec.id);
  if (row === undefined) throw new DpuError('not_found', `card has no function ${spec.id}`);
  const { mac, ...rest } = spec;
  requireSame(`function ${spec.id}`, row, mac === null ? rest : spec);
  return row;
}

function makeFunction(context: SimContext, spec: FunctionSpec): FunctionRow {
  const network = spec.class === 'virtio-net';
  if (!network && spec.mac !== null) {
    throw new DpuError('invalid', 'a storage function has no MAC', { field: 'mac' });
  }
  const slot = freeSlot(context, spec.id);
  const row: FunctionRow = {
    id: spec.id,
    type: spec.type,
    class: spec.class,
    mac: network ? (spec.mac ?? cardMac(spec.id)) : null,
    features: [...spec.features],
    slot,
    plugged: false,
    bdf: null,
    bdfState: 'pending',
    mark: spec.mark,
  };
  context.state.slots.set(String(slot), { slot, id: spec.id });
  context.state.functions.set(spec.id, row);
  return row;
}

/** The slot that the function had before if it is free, else one that nobody had, else any. */
function freeSlot({ state, options }: SimContext, id: FunctionId): number {
  const taken = new Set(state.functions.rows().map((row) => row.slot));
  let fresh: number | undefined;
  let any: number | undefined;
  for (let slot = 0; slot < options.functions; slot += 1) {
    if (taken.has(slot)) continue;
    const last = state.slots.get(String(slot));
    if (last?.id === id) return slot;
    if (last === undefined) fresh ??= slot;
    any ??= slot;
  }
  const slot = fresh ?? any;
  if (slot === undefined) throw new DpuError('exhausted', `card has no function left of ${options.functions}`);
  return slot;
}

/** A locally administered address that follows from the id. */
function cardMac(id: FunctionId): Mac {
  const hex = createHash('sha256').update(id).digest('hex').slice(0, 10);
  return `02:${hex.match(/../g)?.join(':')}` as Mac;
}
