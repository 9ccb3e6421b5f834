import type { Clock } from '../../core/ports/clock.ts';
import type { HostAgent } from '../../core/ports/host-agent.ts';
import type { HostBios } from '../../core/ports/host-bios.ts';
import type { HostConsole } from '../../core/ports/host-console.ts';
import type { NetworkBinder } from '../../core/ports/network-binder.ts';
import type { PowerController } from '../../core/ports/power-controller.ts';
import type { Random } from '../../core/ports/random.ts';
import type { SnicController } from '../../core/ports/snic-controller.ts';
import type { StorageTarget } from '../../core/ports/storage-target.ts';
import type { VolumeService } from '../../core/ports/volume-service.ts';
import type { VolumeId } from '../../core/units.ts';
import { simAgent } from './agent.ts';
import { simBios } from './bios.ts';
import { simPower } from './bmc.ts';
import { callerOf, dropClient, loseInFlight, type PeerLink, type SimClient } from './call.ts';
import { simSnic } from './card.ts';
import { simConsole } from './console.ts';
import { lostKey, type SimContext, type WorldHooks } from './context.ts';
import { createFaults, type Faults, type SimPeer } from './faults.ts';
import { type ForeignThing, plantForeign } from './foreign.ts';
import { createHost } from './host.ts';
import { isOn } from './machines.ts';
import { resolveOptions, type SimOptions, type SimTiming } from './options.ts';
import { simBinder } from './ovs.ts';
import { type HostRow, openState, type Violation, type WorldState } from './rows.ts';
import { createScreens } from './screens.ts';
import { simStorage } from './storage.ts';
import { simVolumes } from './volumes.ts';
import type { WorldStore } from './world-store.ts';

/** The simulated hardware behind the ports. */
export interface SimPorts {
  readonly snic: SnicController;
  readonly network: NetworkBinder;
  readonly storage: StorageTarget;
  readonly volumes: VolumeService;
  readonly power: PowerController;
  /** Machines on the host, where it is on. */
  readonly agent: HostAgent;
  readonly bios: HostBios;
}

/** The ports as one life of the daemon has them. */
export interface SimConnection extends SimPorts {
  /** As if the daemon was killed: its calls in flight have no later effect and never answer. */
  drop(): void;
}

/** What happens to the host without the daemon. */
export interface SimHost {
  row(): HostRow;
  /** Its user shuts it down; it is off at once. */
  shutDownByUser(): void;
  /** Somebody pushes the button. */
  powerOnByHand(): void;
  /** It restarts: machines that ran are off. */
  restart(): void;
}

/** The world that a simulated node stands in. */
export interface SimWorld extends SimPorts {
  /** New ports for a new life of the daemon. */
  connect(): SimConnection;
  readonly console: HostConsole;
  readonly faults: Faults;
  /** Set and cleared by crash tests. */
  readonly hooks: WorldHooks;
  readonly host: SimHost;
  /** Everything, for audits; read only. */
  readonly state: WorldState;
  /** Rules broken so far, oldest first; kept in the store. */
  readonly violations: readonly Violation[];
  clearViolations(): void;
  /**
   * The peer's daemon is restarted: calls in flight fail with `unavailable`; the storage target forgets its attachments, the
   * switch its ports with `losePorts`, the card and the BMC nothing. Foreign things stay: their owners see to them.
   */
  restartPeer(peer: SimPeer | 'bmc', options?: { readonly losePorts?: boolean }): void;
  /** The peer answers `unavailable` until the returned function is called, which counts as its restart. */
  stopPeer(peer: SimPeer | 'bmc', options?: { readonly losePorts?: boolean }): () => void;
  /** Told of every restart; the answer ends that. */
  onPeerRestart(listener: (peer: SimPeer) => void): () => void;
  plantForeign(thing: ForeignThing): void;
  close(): void;
}

interface SimWorldOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly store: WorldStore;
  readonly options: SimOptions;
  readonly timing?: Partial<SimTiming>;
  /** The host is of machines, not of one instance: it is on from the first. */
  readonly hypervisor?: boolean;
}

const maxViolations = 1000;

/** Opens the world that the store has, or a new one. Two worlds on one store at once are not supported. */
export function createSimWorld({ clock, random, store, options, timing, hypervisor }: SimWorldOptions): SimWorld {
  const resolved = resolveOptions(options, timing);
  const state = openState(store);
  const faults = createFaults();
  const host = createHost({ clock, faults, options: resolved, state });
  const hooks: WorldHooks = {};
  const context: SimContext = {
    clock,
    random,
    options: resolved,
    state,
    faults,
    hooks,
    host,
    atomically: (work) => store.atomically(work),
    violate: (rule, subject, detail) => {
      const number = state.violations.size;
      if (number < maxViolations) {
        state.violations.set(String(number).padStart(4, '0'), { rule, subject, detail });
      }
    },
  };
  for (const [id, volume] of resolved.volumes) {
    if (!state.volumes.has(id)) state.volumes.set(id, { id: id as VolumeId, ...volume, madeFor: null });
  }

  if (hypervisor && host.row().boots === 0) host.switchOn();

  const links: Readonly<Record<SimPeer, PeerLink>> = {
    snic: { inFlight: new Set() },
    ovs: { inFlight: new Set() },
    storage: { inFlight: new Set() },
    volume: { inFlight: new Set() },
    power: { inFlight: new Set() },
    agent: { inFlight: new Set() },
  };
  const screens = createScreens({
    clock,
    shown(instance) {
      const row = state.machines.get(instance);
      return row !== undefined && isOn(row) ? row.name : null;
    },
  });
  const connect = (): SimConnection => {
    const client: SimClient = { dropped: false, inFlight: new Set() };
    const caller = (peer: SimPeer) => callerOf(context, peer, links[peer], client);
    return {
      snic: simSnic(context, caller('snic')),
      network: simBinder(context, caller('ovs')),
      storage: simStorage(context, caller('storage')),
      volumes: simVolumes(context, caller('volume')),
      power: simPower(context, caller('power')),
      agent: simAgent(context, caller('agent'), screens),
      bios: simBios(context, caller('power')),
      drop: () => dropClient(client),
    };
  };

  const listeners = new Set<(peer: SimPeer) => void>();
  const forget = (peer: SimPeer, losePorts: boolean): void => {
    loseInFlight(peer, links[peer]);
    store.atomically(() => {
      if (peer === 'storage') loseAttachments(state);
      if (peer === 'ovs' && losePorts) losePortRows(state);
    });
  };
  const announce = (peer: SimPeer): void => {
    for (const listener of [...listeners]) listener(peer);
  };
  const { drop: _drop, ...ports } = connect();
  return {
    ...ports,
    connect,
    console: simConsole(clock, 'host', () => {
      host.settle();
      return host.row();
    }),
    faults,
    hooks,
    state,
    host: {
      row: () => {
        host.settle();
        return host.row();
      },
      shutDownByUser: () => host.switchOff(),
      powerOnByHand: () => host.switchOn(),
      restart: () => {
        host.switchOff();
        host.switchOn();
      },
    },
    get violations() {
      return state.violations.rows();
    },
    clearViolations: () => {
      for (let number = state.violations.size - 1; number >= 0; number -= 1) {
        state.violations.delete(String(number).padStart(4, '0'));
      }
    },
    restartPeer: (named, { losePorts = false } = {}) => {
      const peer = named === 'bmc' ? 'power' : named;
      forget(peer, losePorts);
      announce(peer);
    },
    stopPeer: (named, { losePorts = false } = {}) => {
      const peer = named === 'bmc' ? 'power' : named;
      const start = faults.order({ port: peer, method: '*', kind: 'down' });
      forget(peer, losePorts);
      return () => {
        start();
        announce(peer);
      };
    },
    onPeerRestart: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    plantForeign: (thing) => plantForeign(state, resolved.functions, thing),
    close() {
      screens.close();
      store.close();
    },
  };
}

function loseAttachments(state: WorldState): void {
  for (const row of state.attachments.rows()) {
    if (row.mark === null) continue;
    state.lost.set(lostKey('attachment', row.functionId), { kind: 'attachment', row });
    state.attachments.delete(row.functionId);
  }
}

function losePortRows(state: WorldState): void {
  for (const row of state.ports.rows()) {
    if (row.mark === null) continue;
    state.lost.set(lostKey('port', row.portId), { kind: 'port', row });
    state.ports.delete(row.portId);
  }
}
