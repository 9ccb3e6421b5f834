import { createHash } from 'node:crypto';
import { DpuError, hasCode } from '../../../core/errors.ts';
import type { KeyedLock } from '../../../core/operation/keyed-lock.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import type { BackendSpec } from '../backend.ts';
import type { Devlink } from './devlink.ts';
import { featureBits, offeredFeatures } from './features.ts';
import type { Links } from './links.ts';
import { type NetworkFunction, sfKey, viewDevice } from './network-view.ts';
import type { BluefieldNetwork } from './options.ts';
import { noPool, type Part } from './part.ts';
import type { Virtnet } from './virtnet.ts';
import { awaitAnswer } from './wait.ts';

/** What network functions are made with. */
export interface NetworkTools {
  readonly network: BluefieldNetwork;
  readonly virtnet: Virtnet;
  readonly devlink: Devlink;
  readonly links: Links;
  readonly clock: Clock;
  /** Held under `hotPlug` while a device is plugged: the card takes one at a time. */
  readonly locks: KeyedLock;
  readonly commandTimeoutMs: number;
  readonly hotplugTimeoutMs: number;
  readonly settleMs: number;
}

/** Name of the lock that is held while anything is plugged. */
export const hotPlug = 'hot-plug';

const never = new AbortController().signal;
const kind = 'virtnet';

/**
 * Network PFs by virtio-net-controller, each on an SF whose number is ours, so that its representor is the same after it was plugged anew.
 *
 * virtnet makes a device and shows it in one step, and there is no representor before it. So `make` plugs the device, and `plug` gives it a
 * carrier: until then its representor is down and marked as hidden. A running host finds the device from `make` on, without a link.
 *
 * A reservation is `{kind: 'virtnet', sf, vuid}`; what is found on the SF is ours if its representor bears the function's id, or bears none and it
 * has the function's MAC or VUID.
 */
export function createNetworkPart(tools: NetworkTools): Part {
  const { network, virtnet, devlink, links, clock, locks, commandTimeoutMs, hotplugTimeoutMs, settleMs } = tools;

  const look = async (signal?: AbortSignal): Promise<readonly NetworkFunction[]> => {
    const [{ devices }, ports, interfaces] = await Promise.all([
      virtnet.list(signal),
      devlink.ports(signal),
      links.list(signal),
    ]);
    return devices.map((each) => viewDevice(each, ports, interfaces, network));
  };

  /** What is on the reservation's SF. */
  const at = async (reservation: JsonObject, signal?: AbortSignal): Promise<NetworkFunction | undefined> => {
    const sf = sfOf(reservation);
    return (await look(signal)).find((each) => each.sf === sf);
  };

  /** Ours on its SF. @throws `conflict` when the SF is another's. */
  const ours = async (
    spec: BackendSpec,
    reservation: JsonObject,
    signal?: AbortSignal,
  ): Promise<NetworkFunction | undefined> => {
    const found = await at(reservation, signal);
    if (!found || isOurs(found, spec, reservation)) return found;
    throw new DpuError('conflict', `SF ${sfOf(reservation)} is not function ${spec.id}`);
  };

  /** Plugs it unless it is there. After any failure it is looked for before the failure counts. */
  const hotplug = async (spec: BackendSpec, reservation: JsonObject, signal?: AbortSignal): Promise<void> => {
    const { mac, features } = spec;
    if (mac === null) throw new DpuError('internal', `network function ${spec.id} has no MAC`);
    const release = await locks.acquire(hotPlug, signal ?? never);
    try {
      if (await ours(spec, reservation, signal)) return;
      const what = { network, mac, sf: sfOf(reservation), features: featureBits(features) };
      await virtnet.hotplug(what, hotplugTimeoutMs, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (hasCode(error, 'conflict') || !(await ours(spec, reservation, signal))) throw error;
    } finally {
      release();
    }
  };

  /** Makes it be there with its MAC, and waits for its representor. */
  const ensure = async (spec: BackendSpec, reservation: JsonObject, signal?: AbortSignal): Promise<NetworkFunction> => {
    if (!(await ours(spec, reservation, signal))) await hotplug(spec, reservation, signal);
    const limits = { ms: commandTimeoutMs, everyMs: settleMs, signal };
    const found = await awaitAnswer(clock, limits, async () => {
      const now = await ours(spec, reservation, signal);
      return now && now.state.representor !== null && now;
    });
    if (!found) throw new DpuError('timeout', `function ${spec.id} has no representor yet`);
    if (spec.mac !== null && found.state.mac !== spec.mac) await setMac(found, spec.mac, spec, reservation, signal);
    return found;
  };

  const setMac = async (
    found: NetworkFunction,
    mac: NonNullable<BackendSpec['mac']>,
    spec: BackendSpec,
    reservation: JsonObject,
    signal?: AbortSignal,
  ): Promise<void> => {
    try {
      await virtnet.setMac(found.device, mac, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!hasCode(error, 'hardware')) throw error;
      const now = await ours(spec, reservation, signal);
      if (now?.state.mac === mac) return;
      if (now?.state.bdf == null) throw error;
      // the host has the device, and its driver must not (virtnet tells it in words alone)
      throw new DpuError('bad_state', `MAC of function ${spec.id} can't be changed under the host's driver`, {
        cause: error,
      });
    }
  };

  const representorOf = ({ state }: NetworkFunction): string => state.representor ?? '';

  /** Unplugs it and waits until it is gone; answers whether it is. A failure of virtnet's is only what the next look says. */
  const takeAway = async (
    found: NetworkFunction,
    spec: BackendSpec,
    reservation: JsonObject,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<void> => {
    const end = clock.monotonicMs() + deadlineMs;
    let refusal: unknown;
    try {
      await virtnet.unplug(found.device, Math.max(deadlineMs, commandTimeoutMs), signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (hasCode(error, 'unavailable')) throw error;
      refusal = error;
    }
    const left = Math.max(0, end - clock.monotonicMs());
    const gone = await awaitAnswer(clock, { ms: left, everyMs: settleMs, signal }, async () => {
      const now = await at(reservation, signal);
      return !now || !isOurs(now, spec, reservation);
    });
    if (gone) return;
    throw new DpuError('busy', `host did not release function ${spec.id}`, { cause: refusal });
  };

  return {
    kind,
    kinds: async (signal) => {
      const { features } = await virtnet.list(signal);
      return [{ type: 'PF', class: 'virtio-net', features: offeredFeatures(features) }];
    },
    pool: noPool,
    reserve: async (spec, taken, signal) => {
      const [all, ports] = await Promise.all([look(signal), devlink.ports(signal)]);
      const others = new Set(taken.flatMap((each) => (each.kind === kind ? [sfOf(each)] : [])));
      const own = all.find((each) => each.mark?.id === spec.id && each.sf !== null && !others.has(each.sf));
      if (own?.sf != null) return reservationOf(own.sf, own.state.vuid);
      const used = new Set([...others, ...all.map((each) => each.sf), ...ports.map((each) => each.sfnum)]);
      return reservationOf(chooseSf(spec, network, used), null);
    },
    make: async (spec, reservation, signal) => {
      const before = await ours(spec, reservation, signal);
      const found = await ensure(spec, reservation, signal);
      const { vuid } = found.state;
      const next = vuid === null ? reservation : reservationOf(sfOf(reservation), vuid);
      // a mark is lost with the representor; what the host was using then keeps its carrier
      const shown = found.mark?.shown ?? (reservation.vuid !== null && before?.state.plugged === true);
      if (!found.mark && shown) await links.mark(representorOf(found), { id: spec.id, shown }, signal);
      if (!found.mark && !shown) await links.hide(representorOf(found), { id: spec.id, shown }, signal);
      return { reservation: next, state: { ...found.state, id: spec.id, mac: spec.mac, plugged: shown } };
    },
    plug: async (spec, reservation, signal) => {
      const found = await ensure(spec, reservation, signal);
      await links.mark(representorOf(found), { id: spec.id, shown: true }, signal);
      return { ...found.state, id: spec.id, mac: spec.mac, plugged: true };
    },
    unplug: async (spec, reservation, { deadlineMs }, signal) => {
      const found = await at(reservation, signal);
      if (!found || !isOurs(found, spec, reservation) || !found.state.plugged) return;
      await takeAway(found, spec, reservation, deadlineMs, signal);
    },
    destroy: async (spec, reservation, signal) => {
      const found = await at(reservation, signal);
      if (!found || !isOurs(found, spec, reservation)) return;
      if (found.state.plugged) throw new DpuError('bad_state', `function ${spec.id} is plugged`);
      await takeAway(found, spec, reservation, commandTimeoutMs, signal);
    },
    change: async (spec, reservation, { mac, link, rateBitsPerSecond: rate }, signal) => {
      if (link !== undefined) throw new DpuError('unsupported', 'link of a function can not be set', { field: 'link' });
      const found = await ours(spec, reservation, signal);
      if (!found) return; // it gets them when it is plugged
      if (mac !== undefined && found.state.mac !== mac) await setMac(found, mac, spec, reservation, signal);
      if (rate === undefined) return;
      if (found.port === null)
        throw new DpuError('unsupported', 'devlink does not know the function', { field: 'rate' });
      await devlink.setRate(found.port.handle, rate, signal);
    },
    list: async (signal) =>
      (await look(signal)).map(({ state, device }) => ({ state, takesPort: device.kind === 'hotplug' })),
    keyOf: (reservation) => sfKey(sfOf(reservation)),
  };
}

function reservationOf(sf: number, vuid: string | null): JsonObject {
  return { kind, sf, vuid };
}

/** @throws `internal` for a reservation of somebody else. */
function sfOf({ sf }: { readonly [key: string]: Json }): number {
  if (typeof sf === 'number' && Number.isSafeInteger(sf)) return sf;
  throw new DpuError('internal', 'reservation is not of the BlueField backend');
}

function isOurs({ mark, state }: NetworkFunction, spec: BackendSpec, { vuid }: JsonObject): boolean {
  if (mark !== null) return mark.id === spec.id;
  return (state.mac !== null && state.mac === spec.mac) || (state.vuid !== null && state.vuid === vuid);
}

/** The number that follows from the id, or the next one that nobody has: the same id is given the same one again. @throws `exhausted`. */
function chooseSf({ id }: BackendSpec, { firstSf, sfs }: BluefieldNetwork, used: ReadonlySet<number | null>): number {
  const start = createHash('sha256').update(id).digest().readUInt32BE(0) % sfs;
  for (let turn = 0; turn < sfs; turn += 1) {
    const sf = firstSf + ((start + turn) % sfs);
    if (!used.has(sf)) return sf;
  }
  throw new DpuError('exhausted', `every SF of ${firstSf} to ${firstSf + sfs - 1} is taken`);
}
