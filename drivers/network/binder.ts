import { difference } from '../../core/difference.ts';
import { DpuError } from '../../core/errors.ts';
import { createKeyedLock } from '../../core/operation/keyed-lock.ts';
import type { BindSpec, NetworkBinder, NetworkBinding } from '../../core/ports/network-binder.ts';
import type { PortId } from '../../core/units.ts';
import { isOurs, readIdentity, readSlot, writeIds } from './external-ids.ts';
import { addPort, alignPort, removePort, setIds } from './port-transactions.ts';
import { bindingOf, findPort, freeSlot, isInstancePort, segmentOf, slotsOf } from './port-view.ts';
import { findRepresentor, isSame, type RepresentorIdentity } from './representors.ts';
import { checkRule, type SecurityRule } from './security.ts';
import { createServices, type Services } from './services.ts';
import { openSwitch, type SwitchOptions } from './switch.ts';
import { isTaken, type OvsCache, type SwitchPort } from './tables.ts';
import { createTunnels, type Tunnels } from './tunnels.ts';
import { awaitConfigured, awaitTaken } from './verdict.ts';

/** A switch as a NetworkBinder, and what else we do with it. */
export interface OvsNetwork extends NetworkBinder {
  readonly tunnels: Tunnels;
  readonly services: Services;
  /**
   * Lets pass what the rules say, and answers to it; null: everything.
   * @throws `not_found`, `denied`, `invalid`, `unsupported` where the bridge's flows are another's.
   */
  setRules(portId: PortId, rules: readonly SecurityRule[] | null, signal?: AbortSignal): Promise<void>;
  /** Makes what the switch has anew where something it hangs on changed: flows are set again soon. */
  touch(): void;
  /** The database, for what builds on it. @throws `unavailable`. */
  cache(signal?: AbortSignal): Promise<OvsCache>;
  /** Calls back when the switch or its database was restarted and may have forgotten things. Answers the stop. */
  onRestart(listener: () => void): () => void;
  close(): Promise<void>;
}

/** How long ovs-vswitchd has to let go of a port, in milliseconds; then it does so when it can. */
const settleMs = 3_000;

/**
 * The ports of an Open vSwitch bridge. Nothing is kept here but what the database holds: everything of a port is in its `external_ids`.
 * Every method rejects with `unavailable` while the database, the bridge or ovs-vswitchd is away.
 */
export function createOvsNetworkBinder(options: SwitchOptions): OvsNetwork {
  const { bridge, node, log, waitOvnInstalled = false, segments = {} } = options;
  const bridgeSwitch = openSwitch(options);
  const { link, limits } = bridgeSwitch;
  const locks = createKeyedLock();
  const closing = new AbortController();

  function view(each: SwitchPort): NetworkBinding {
    const good = isTaken(each.nic) && (!waitOvnInstalled || isInstalled(each));
    return bindingOf(each, node, good && bridgeSwitch.hasFlows());
  }

  /** The representor's netdev now. @throws `not_found`. */
  async function resolve(
    spec: BindSpec,
    known: RepresentorIdentity | null,
    signal?: AbortSignal,
  ): Promise<{ readonly netdev: string; readonly identity: RepresentorIdentity | null }> {
    if (!options.representors) return { netdev: spec.representor, identity: null };
    const found = findRepresentor(await options.representors.list(signal), spec.representor, known);
    if (!found) throw noRepresentor(spec.representor);
    return found;
  }

  /** Makes the port, or finds it; answers whether it was made now. */
  async function place(
    spec: BindSpec,
    signal?: AbortSignal,
  ): Promise<{ readonly each: SwitchPort; readonly made: boolean }> {
    const ports = await bridgeSwitch.ports(signal);
    const have = findPort(ports, spec.portId);
    if (have && !isOurs(have.nic.external_ids, node)) {
      throw new DpuError('conflict', `port ${spec.portId} is not ours`, { details: { port: have.port.name } });
    }
    const known = have ? readIdentity(have.nic.external_ids) : null;
    if (have) requireSameButName(have, spec);
    const { netdev, identity } = await resolve(spec, known, signal);
    const segment = segmentOf(segments, spec.mark);
    if (have?.nic.name === netdev) {
      await alignPort(link.db, have, segment, limits(signal));
      const ids = { 'dpu-representor': spec.representor };
      if (view(have).representor !== spec.representor) await setIds(link.db, have.nic._uuid, ids, limits(signal));
      return { each: have, made: false };
    }
    const other = ports.find((each) => each.port.name === netdev);
    if (other) {
      throw new DpuError('conflict', `representor ${netdev} is in another port`, {
        details: { portId: [other.nic.external_ids.get('iface-id') ?? other.port.name, spec.portId] },
      });
    }
    const moved = identity !== null && known !== null && isSame(identity, known);
    if (have && isTaken(have.nic) && !moved) {
      const details = difference(view(have), spec);
      throw new DpuError('conflict', `port ${spec.portId} exists with another specification`, {
        details: details ?? {},
      });
    }
    // the representor was renamed: its port moves, with its limits and rules
    const slot = (have && readSlot(have.nic.external_ids)) ?? freeSlot(slotsOf(ports));
    const ids = { ...keptOf(have), ...writeIds({ spec, slot, identity }) };
    const nic = await addPort(
      link.db,
      {
        bridge,
        name: netdev,
        ids,
        ifaceId: spec.portId,
        ...segment,
        ...(have ? { instead: have.port._uuid } : {}),
      },
      limits(signal),
    );
    const after = await link.cache(signal);
    const row = after.table('Interface').get(nic);
    const port = after.table('Port').first('interfaces', nic);
    if (!row || !port) throw new DpuError('unavailable', `port ${spec.portId} was taken away while it was made`);
    return { each: { port, nic: row }, made: true };
  }

  /** A port that is ours; undefined when there is none. @throws `denied`. */
  async function ownPort(portId: PortId, signal?: AbortSignal): Promise<SwitchPort | undefined> {
    const ports = await bridgeSwitch.ports(signal);
    const found = findPort(ports, portId);
    if (found && !isOurs(found.nic.external_ids, node)) throw new DpuError('denied', `port ${portId} is not ours`);
    return found;
  }

  async function remove({ port }: SwitchPort, signal?: AbortSignal): Promise<void> {
    await removePort(link.db, bridge, port._uuid, limits(signal));
    const cache = await link.cache(signal);
    // flows and ofport go with ovs-vswitchd where it is away
    if (!bridgeSwitch.isUp()) return;
    await awaitConfigured(cache, { timeoutMs: settleMs, signal });
    await bridgeSwitch.applyFlows(signal).catch((error: unknown) => {
      signal?.throwIfAborted();
      log.warn('flows of a port that is gone stay for now', { port: port.name, error });
      bridgeSwitch.touch();
    });
  }

  async function changeIds(
    portId: PortId,
    ids: Readonly<Record<string, string | null>>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (!bridgeSwitch.ownsFlows) {
      throw new DpuError(
        'unsupported',
        `the flows of ${bridge} are another's: limits and rules are up to its controller`,
      );
    }
    const found = await ownPort(portId, signal);
    if (!found) throw new DpuError('not_found', `${bridge} has no port ${portId}`);
    await setIds(link.db, found.nic._uuid, ids, limits(signal));
    await bridgeSwitch.applyFlows(signal);
  }

  async function locked<Answer>(
    key: string,
    signal: AbortSignal | undefined,
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    const release = await locks.acquire(key, signal ? AbortSignal.any([signal, closing.signal]) : closing.signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  const network: OvsNetwork = {
    async bind(spec, signal, { traffic = true } = {}) {
      signal?.throwIfAborted();
      await bridgeSwitch.requireUp(signal);
      // numbers and names are chosen one after the other; waiting for the switch is not
      const { each, made } = await locked('place', signal, () => place(spec, signal));
      const cache = await link.cache(signal);
      try {
        await awaitTaken(cache, each, {
          waitOvnInstalled: waitOvnInstalled && traffic,
          timeoutMs: bridgeSwitch.bindTimeoutMs,
          signal,
          representor: spec.representor,
          mayBeOld: !made,
          isUp: bridgeSwitch.isUp,
        });
      } catch (error) {
        if (made && error instanceof DpuError && error.code === 'not_found') await remove(each, signal);
        throw error;
      }
      await bridgeSwitch.applyFlows(signal);
      const now = findPort(await bridgeSwitch.ports(signal), spec.portId);
      if (!now) throw new DpuError('unavailable', `port ${spec.portId} was taken away while it was bound`);
      return view(now);
    },
    async unbind(portId, signal) {
      signal?.throwIfAborted();
      const found = await ownPort(portId, signal);
      if (found) await locked('place', signal, () => remove(found, signal));
    },
    async list(signal) {
      signal?.throwIfAborted();
      const ports = await bridgeSwitch.ports(signal);
      await bridgeSwitch.requireUp(signal);
      if (!bridgeSwitch.hasFlows()) {
        await bridgeSwitch.applyFlows(signal).catch((error: unknown) => {
          signal?.throwIfAborted();
          log.warn('ports have no flows', { error });
        });
      }
      return ports.filter((each) => !isOurs(each.nic.external_ids, node) || isInstancePort(each, node)).map(view);
    },
    async setQos(portId, qos, signal) {
      signal?.throwIfAborted();
      const limited = qos.bitsPerSecond !== 0 || qos.packetsPerSecond !== 0;
      await changeIds(portId, { 'dpu-qos': limited ? JSON.stringify(qos) : null }, signal);
    },
    async setRules(portId, rules, signal) {
      signal?.throwIfAborted();
      for (const [index, rule] of (rules ?? []).entries()) checkRule(rule, `rules[${index}]`);
      await changeIds(portId, { 'dpu-rules': rules === null ? null : JSON.stringify(rules) }, signal);
    },
    services: createServices(bridgeSwitch, bridge, node, remove),
    tunnels: createTunnels(bridgeSwitch, bridge, node),
    touch: bridgeSwitch.touch,
    cache: (signal) => link.cache(signal),
    onRestart: bridgeSwitch.onRestart,
    async close() {
      closing.abort(new DpuError('unavailable', 'the switch was closed'));
      await bridgeSwitch.close();
    },
  };
  link.cache(closing.signal).catch(() => undefined); // who asks first is told
  return network;
}

function isInstalled({ nic }: SwitchPort): boolean {
  return nic.external_ids.get('ovn-installed') === 'true';
}

function noRepresentor(name: string): DpuError {
  return new DpuError('not_found', `no representor ${name}`, { field: 'representor' });
}

/** What a port that moves to another name keeps. */
function keptOf(have: SwitchPort | undefined): Readonly<Record<string, string>> {
  const entries = ['dpu-qos', 'dpu-rules'].flatMap((key) => {
    const value = have?.nic.external_ids.get(key);
    return value === undefined ? [] : [[key, value] as const];
  });
  return Object.fromEntries(entries);
}

/** Refuses another specification before the representor's name is looked at: a function may have been renamed. */
function requireSameButName(have: SwitchPort, spec: BindSpec): void {
  const { qos: _, healthy: __, ...now } = bindingOf(have, spec.mark.node, true);
  const details = difference(now, spec);
  if (details === null) return;
  const { representor: ___, ...others } = details;
  if (Object.keys(others).length === 0) return;
  throw new DpuError('conflict', `port ${spec.portId} exists with another specification`, { details });
}
