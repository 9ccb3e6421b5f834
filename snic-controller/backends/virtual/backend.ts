import type { QmpClient } from 'qmp-client';
import { DpuError } from '../../../core/errors.ts';
import type { FunctionId } from '../../../core/units.ts';
import type { Backend, BackendFunction, BackendSpec } from '../backend.ts';
import { addBackEnd, type BackEndOptions, cutOff, deviceOf, dropBackEnds } from './back-end.ts';
import { featureProperties, kindsOf } from './device-model.ts';
import { type HostDevice, type HostView, viewHost } from './host-devices.ts';
import { createHostSession } from './host-session.ts';
import { listFunctions, usedSlots } from './list.ts';
import type { VirtualBackendOptions } from './options.ts';
import { shareLooks } from './shared-look.ts';
import {
  bdfOf,
  deviceName,
  functionOfDevice,
  maxSlots,
  portName,
  representorName,
  requireUsableId,
  slotOf,
} from './slot.ts';
import { createTaps, type Tap } from './taps.ts';
import { forgetPending, notePending, pendingSlots, unplugDevice } from './unplug.ts';

/**
 * The virtual DPU's card: each function is a PCIe device in a root port of its own of a QEMU machine, each network function's representor a
 * tap. Everything is read from QEMU and the kernel whenever it is needed; QEMU's device ids and the taps' aliases name the function.
 *
 * A reservation is `{slot}`: the index of the root port, from which port, bus number, address and representor follow. A VF is modelled as a
 * root port of its own. QEMU that was killed and started anew has empty ports: its functions are unplugged, and are plugged again by `plug`.
 * It can't take a device away without the host's consent, so `force` changes nothing.
 */
export function createVirtualBackend(options: VirtualBackendOptions): Backend {
  const { front, clock, commandTimeoutMs = 10_000, reconnectMs = 1000 } = options;
  const session = createHostSession({ path: options.qmp, clock, commandTimeoutMs, reconnectMs });
  const taps = createTaps({ netns: options.netns, timeoutMs: commandTimeoutMs });
  const backEnds: BackEndOptions = { front, clock, commandTimeoutMs };
  const usable = ({ slots }: HostView): readonly number[] => slots.slice(0, options.rootPorts ?? maxSlots);

  /** A build has functions listed some sixty times, many of them at once. */
  const look = shareLooks(() => session.run('functions could not be listed', (qmp) => listFunctions(qmp, taps)));

  /** The function as the host has it now, or as it will be once it is plugged. */
  const stateOf = async (spec: BackendSpec, slot: number): Promise<BackendFunction> => {
    const shown = (await look()).find((each) => each.id === spec.id);
    const representor = spec.class === 'virtio-net' ? representorName(spec.type, slot) : null;
    if (shown) return { ...shown, mac: shown.mac ?? spec.mac };
    const { id, type, class: functionClass, mac } = spec;
    const place = { key: portName(slot), bdf: bdfOf(slot), bdfState: 'assigned' as const, representor };
    return { ...place, id, type, class: functionClass, mac, plugged: false, unplugPending: false, vuid: null };
  };

  /** @throws `not_found`; QEMU would make a tap that is gone by itself, without an alias that says whose it is. */
  const representorOf = async (spec: BackendSpec, slot: number, signal: AbortSignal | undefined): Promise<Tap> => {
    const name = representorName(spec.type, slot);
    const tap = (await taps.list(signal)).find((each) => each.name === name && each.id === spec.id);
    if (!tap) throw new DpuError('not_found', `function ${spec.id} has no representor`);
    return tap;
  };

  return {
    name: 'virtual',
    capabilities: async () => ({
      kinds: kindsOf(front),
      vfs: 'made',
      bdf: 'fixed',
      set: { mac: 'unplugged', link: true, rate: false },
    }),
    describe: (signal) =>
      session.run(
        'host could not be described',
        async (qmp) => {
          const view = await viewHost(qmp);
          const slots = usable(view);
          const used = usedSlots(view, await taps.list(signal));
          return {
            model: 'virtual',
            serialNumber: options.serialNumber ?? null,
            capacity: slots.length,
            free: slots.filter((each) => !used.has(each)).length,
            hostRestricted: true,
          };
        },
        signal,
      ),
    reserve: (spec, taken, signal) =>
      session.run(
        `no place could be found for function ${spec.id}`,
        async (qmp) => {
          requireUsableId(spec.id);
          featureProperties(spec, front);
          const view = await viewHost(qmp);
          const found = await taps.list(signal);
          const own =
            view.devices.find((each) => functionOfDevice(each.name) === spec.id) ??
            found.find((each) => each.id === spec.id);
          const others = new Set(taken.map(slotOf));
          if (own && !others.has(own.slot)) return { slot: own.slot };
          const used = usedSlots(view, found);
          const slot = usable(view).find((each) => !used.has(each) && !others.has(each));
          if (slot === undefined) throw new DpuError('exhausted', 'every root port of the host is taken');
          return { slot };
        },
        signal,
      ),
    make: (spec, reservation, signal) =>
      session.run(
        `function ${spec.id} could not be made`,
        async (qmp) => {
          const slot = slotOf(reservation);
          requireUsableId(spec.id);
          featureProperties(spec, front);
          requirePort(await viewHost(qmp), spec.id, slot);
          if (spec.class === 'virtio-net') await taps.ensure(spec.id, spec.type, slot, signal);
          return { reservation: { slot }, state: await stateOf(spec, slot) };
        },
        signal,
      ),
    plug: (spec, reservation, signal) =>
      session.run(
        `function ${spec.id} could not be plugged`,
        async (qmp) => {
          const slot = slotOf(reservation);
          const device = deviceOf(spec, slot, front);
          const view = await viewHost(qmp);
          requirePort(view, spec.id, slot);
          const tap = spec.class === 'virtio-net' ? await representorOf(spec, slot, signal) : null;
          if (deviceAt(view, spec.id, slot)) {
            const pending = (await pendingSlots(qmp)).has(slot);
            if (!pending && !tap?.loose) return stateOf(spec, slot);
            // it may go at any time, or leads nowhere: it has to come away first
            if (!view.off) throw new DpuError('busy', `host must let go of function ${spec.id} first`);
            await unplugDevice(qmp, deviceName(spec.id), { deadlineMs: commandTimeoutMs, clock, signal });
          }
          await forgetPending(qmp, slot);
          await dropBackEnds(qmp, slot, backEnds);
          await addBackEnd(qmp, spec, slot, backEnds);
          signal?.throwIfAborted();
          try {
            await qmp.execute('device_add', device);
          } catch (error) {
            await dropBackEnds(qmp, slot, backEnds).catch(() => {}); // the first error tells more; unplug and destroy drop it too
            throw error;
          }
          return stateOf(spec, slot);
        },
        signal,
      ),
    unplug: (spec, reservation, { deadlineMs }, signal) =>
      session.run(
        `function ${spec.id} could not be unplugged`,
        async (qmp) => {
          const view = await viewHost(qmp);
          const there = deviceOfFunction(view, spec.id);
          const slot = there?.slot ?? slotOf(reservation);
          if (there) {
            await notePending(qmp, slot);
            if (view.off) await cutOff(qmp, slot);
            await unplugDevice(qmp, deviceName(spec.id), { deadlineMs, clock, signal });
          }
          await clear(qmp, slot, backEnds);
        },
        signal,
      ),
    destroy: (spec, reservation, signal) =>
      session.run(
        `function ${spec.id} could not be destroyed`,
        async (qmp) => {
          const slot = slotOf(reservation);
          if (deviceOfFunction(await viewHost(qmp), spec.id)) {
            throw new DpuError('bad_state', `function ${spec.id} is plugged`);
          }
          await clear(qmp, slot, backEnds);
          if (spec.class === 'virtio-net') await taps.remove(spec.id, spec.type, slot, signal);
        },
        signal,
      ),
    change: (spec, reservation, change, signal) =>
      session.run(
        `function ${spec.id} could not be changed`,
        async (qmp) => {
          const slot = slotOf(reservation);
          if (change.rateBitsPerSecond !== undefined) {
            throw new DpuError('unsupported', 'a tap has no rate of its own', { field: 'rate' });
          }
          const plugged = deviceAt(await viewHost(qmp), spec.id, slot) !== null;
          if (change.mac !== undefined && plugged) {
            throw new DpuError('bad_state', `function ${spec.id} is plugged, and keeps its MAC until it is not`);
          }
          // a device that is not there has no link yet: it is asked for again after the plug
          if (change.link === undefined || !plugged) return;
          await qmp.execute('set_link', { name: deviceName(spec.id), up: change.link === 'up' });
        },
        signal,
      ),
    list: async (signal) => {
      signal?.throwIfAborted();
      return await look();
    },
    keyOf: (reservation) => portName(slotOf(reservation)),
    watch: session.watch,
    close: async () => session.close(),
  };
}

/** The device of a function, in whatever port it is; undefined when it is not plugged. */
function deviceOfFunction(view: HostView, id: FunctionId): HostDevice | undefined {
  return view.devices.find((each) => functionOfDevice(each.name) === id);
}

/** The device of a function, in its own port; null when it is not plugged there. */
function deviceAt(view: HostView, id: FunctionId, slot: number): HostDevice | null {
  const device = deviceOfFunction(view, id);
  return device?.slot === slot ? device : null;
}

/** @throws `conflict` when the function's place is another's, or the function has another place; `hardware` when there is no such port. */
function requirePort(view: HostView, id: FunctionId, slot: number): void {
  if (!view.slots.includes(slot)) throw new DpuError('hardware', `host has no root port ${portName(slot)}`);
  if (deviceAt(view, id, slot)) return;
  const elsewhere = deviceOfFunction(view, id);
  if (elsewhere) throw new DpuError('conflict', `function ${id} is plugged into ${portName(elsewhere.slot)}`);
  if (view.devices.some((each) => each.slot === slot)) {
    throw new DpuError('conflict', `root port ${portName(slot)} holds a device of somebody else`);
  }
}

/** Removes what an unplugged function may have left in its slot; the slot of somebody else is left alone. */
async function clear(qmp: QmpClient, slot: number, backEnds: BackEndOptions): Promise<void> {
  if ((await viewHost(qmp)).devices.some((each) => each.slot === slot)) return;
  await forgetPending(qmp, slot);
  await dropBackEnds(qmp, slot, backEnds);
}
