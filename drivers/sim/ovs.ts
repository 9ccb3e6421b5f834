import { difference, requireSame } from '../../core/difference.ts';
import { DpuError } from '../../core/errors.ts';
import type { BindSpec, NetworkBinder, NetworkBinding } from '../../core/ports/network-binder.ts';
import type { Caller } from './call.ts';
import { functionOfRepresentor } from './card.ts';
import { inUse, lostKey, type SimContext } from './context.ts';
import type { PortRow, WorldState } from './rows.ts';

/** The switch behind its port: the ports of br-int. */
export function simBinder(context: SimContext, call: Caller): NetworkBinder {
  const { state, faults } = context;
  const view = (row: PortRow): NetworkBinding => ({
    portId: row.portId,
    functionId: row.functionId,
    representor: row.representor,
    mac: row.mac,
    healthy:
      (row.mark === null || functionOfRepresentor(state, row.representor) !== undefined) &&
      faults.peek({ port: 'ovs', method: 'list', key: row.portId }, 'unhealthy') === undefined,
    qos: row.qos,
    mark: row.mark,
  });
  return {
    bind: (spec, signal) =>
      call({
        method: 'bind',
        key: spec.portId,
        signal,
        effect: () => {
          const row = state.ports.get(spec.portId);
          if (row === undefined) return view(addPort(context, spec));
          requireSame(`port ${spec.portId}`, row, spec);
          return view(row);
        },
      }),
    unbind: (portId, signal) =>
      call({
        method: 'unbind',
        key: portId,
        signal,
        effect: () => {
          const row = state.ports.get(portId);
          state.lost.delete(lostKey('port', portId));
          if (row === undefined) return;
          if (row.mark === null) {
            context.violate('foreign-touched', portId, 'a port that another made');
            throw new DpuError('denied', `port ${portId} is not ours`);
          }
          if (row.functionId !== null && inUse(context, state.functions.get(row.functionId))) {
            context.violate('unbound-while-host-on', portId, `function ${row.functionId} is plugged`);
          }
          state.ports.delete(portId);
        },
      }),
    list: (signal) =>
      call({ method: 'list', key: '', signal, reads: true, effect: () => state.ports.rows().map(view) }),
    setQos: (portId, qos, signal) =>
      call({
        method: 'setQos',
        key: portId,
        signal,
        effect: () => {
          const row = state.ports.get(portId);
          if (row === undefined) throw new DpuError('not_found', `br-int has no port ${portId}`);
          if (row.mark === null) {
            context.violate('foreign-touched', portId, 'a port that another made');
            throw new DpuError('denied', `port ${portId} is not ours`);
          }
          const limited = qos.bitsPerSecond !== 0 || qos.packetsPerSecond !== 0;
          state.ports.set(portId, { ...row, qos: limited ? qos : null });
        },
      }),
  };
}

function addPort(context: SimContext, spec: BindSpec): PortRow {
  const { state } = context;
  const owner = functionOfRepresentor(state, spec.representor);
  if (owner === undefined) throw new DpuError('not_found', `no representor ${spec.representor}`);
  for (const other of state.ports.rows()) {
    if (other.representor === spec.representor) {
      throw new DpuError('conflict', `representor ${spec.representor} is in another port`, {
        details: { portId: [other.portId, spec.portId] },
      });
    }
  }
  if (inUse(context, owner) && !remakes(state, spec)) {
    context.violate('bound-while-host-on', spec.portId, `function ${owner.id} is plugged`);
  }
  const row: PortRow = { ...spec, ofport: freeOfport(state), qos: null };
  state.ports.set(spec.portId, row);
  state.lost.delete(lostKey('port', spec.portId));
  return row;
}

function remakes(state: WorldState, spec: BindSpec): boolean {
  const lost = state.lost.get(lostKey('port', spec.portId));
  return lost?.kind === 'port' && difference(lost.row, spec) === null;
}

function freeOfport(state: WorldState): number {
  const taken = new Set(state.ports.rows().map((row) => row.ofport));
  let ofport = 1;
  while (taken.has(ofport)) ofport += 1;
  return ofport;
}
