import { isEnded } from '../../core/operation/journal.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { InstanceRecord } from '../../core/records.ts';
import type { InstanceId } from '../../core/units.ts';
import { checkOwners, checkWorld, ownedThings } from '../../drivers/sim/invariants.ts';
import type { SimWorld } from '../../drivers/sim/world.ts';
import type { Platform } from './platform.ts';

/** Rules that hold after every event; `store` is null while no daemon is up. */
export function checkAlways(
  world: SimWorld,
  platform: Platform,
  store: NodeStore | null,
  { rowsKnown, nodeType }: { readonly rowsKnown: boolean; readonly nodeType: 'BM' | 'VM' },
): string[] {
  const broken = checkWorld(world).map(({ rule, subject, detail }) => `${rule} ${subject} ${detail}`);
  broken.push(...platform.faults.map((fault) => `reports-out-of-order ${fault}`));
  if (!store) return broken;
  const claimed = store.liveInstances().filter((each) => each.claimed);
  if (nodeType === 'VM') broken.push(...overfull(world, claimed));
  else if (claimed.length > 1) broken.push(`host-claimed-twice ${claimed.map(({ id }) => id).join(' ')}`);
  const working = new Set<string>();
  for (const { instance, state, id } of store.unendedOperations()) {
    if (state !== 'running' && state !== 'unwinding') continue;
    if (working.has(instance)) broken.push(`two-operations-at-once ${instance} ${id}`);
    working.add(instance);
  }
  if (rowsKnown) broken.push(...rowless(world, store));
  return broken;
}

/** More was promised than the host has. */
function overfull({ state }: SimWorld, claimed: readonly InstanceRecord[]): string[] {
  const cpus = claimed.reduce((sum, { flavor }) => sum + flavor.vcpus, 0);
  const memory = claimed.reduce((sum, { flavor }) => sum + flavor.memory_mib, 0);
  const machines = state.machines.rows().reduce((sum, { flavor }) => sum + flavor.vcpus, 0);
  return [
    ...(cpus > 16 || memory > 65_536 ? [`host-overfull ${cpus} CPUs, ${memory} MiB`] : []),
    ...(machines > 16 ? [`machines-overfull ${machines}`] : []),
  ];
}

/** Things of ours that no row of the store speaks of: a crash now would leak them. */
function rowless(world: SimWorld, store: NodeStore): string[] {
  const functions = new Set<string>(store.functions().map(({ id }) => id));
  const keys = new Set(store.bindings().map(({ instance, key }) => `${instance}/${key}`));
  const { state } = world;
  return [
    ...state.functions
      .rows()
      .filter(({ id, mark }) => mark !== null && !functions.has(id))
      .map(({ id }) => `function-without-row ${id}`),
    ...state.ports
      .rows()
      .filter(({ portId, mark }) => mark !== null && !keys.has(`${mark.instance}/${portId}`))
      .map(({ portId }) => `port-without-row ${portId}`),
    ...state.attachments
      .rows()
      .filter(({ volumeId, mark }) => mark !== null && !keys.has(`${mark.instance}/${volumeId}`))
      .map(({ functionId }) => `attachment-without-row ${functionId}`),
    ...state.volumes
      .rows()
      .filter(({ id, madeFor }) => madeFor !== null && !keys.has(`${madeFor.instance}/${id}`))
      .map(({ id }) => `volume-without-row ${id}`),
    ...state.exports
      .rows()
      .filter(({ volumeId, instance }) => !keys.has(`${instance}/${volumeId}`))
      .filter(({ volumeId, instance }) => !state.planted.has(`exports/${volumeId}/${instance}`))
      .map(({ volumeId }) => `export-without-row ${volumeId}`),
  ];
}

/** Rules that hold once everything is quiet: store, world and platform say the same. */
export function checkQuiet(world: SimWorld, platform: Platform, store: NodeStore, nodeType: 'BM' | 'VM'): string[] {
  const broken: string[] = [];
  for (const { id, kind, state } of store.unendedOperations())
    broken.push(`operation-not-ended ${kind} ${id} ${state}`);
  const live = new Set(store.liveInstances().map(({ id }) => id));
  for (const { rule, subject, detail } of checkOwners(world, live)) broken.push(`${rule} ${subject} ${detail}`);
  broken.push(...rowless(world, store), ...worldLess(world, store, nodeType), ...untold(platform, store));
  const ports = store.ports().filter((port) => port.instance !== null && !live.has(port.instance));
  broken.push(...ports.map(({ portId }) => `address-without-owner ${portId}`));
  const kept = new Set<string>(store.bindings().map(({ key }) => key));
  broken.push(
    ...store.ports().flatMap(({ portId }) => (kept.has(portId) ? [] : [`address-without-binding ${portId}`])),
  );
  return broken;
}

/** Rows of the store that the world has nothing for. */
function worldLess(world: SimWorld, store: NodeStore, nodeType: 'BM' | 'VM'): string[] {
  const broken: string[] = [];
  const { state } = world;
  for (const { id, phase } of store.functions()) {
    const row = state.functions.get(id);
    if (!row) broken.push(`row-without-function ${id} ${phase}`);
    else if (row.plugged !== (phase === 'plugged'))
      broken.push(`row-differs ${id} is ${phase}, plugged ${row.plugged}`);
    else if (row.bdf !== store.functions().find((each) => each.id === id)?.bdf) broken.push(`bdf-differs ${id}`);
  }
  for (const { functionId, kind, key, phase, instance } of store.bindings()) {
    const there = kind === 'port' ? state.ports.has(key) : state.attachments.has(functionId);
    const error = store.getInstance(instance)?.state === 'error';
    if (there !== (phase === 'bound') && !(error && !there))
      broken.push(`binding-differs ${kind} ${key} is ${phase}, there ${there}`);
  }
  for (const { id, state: now, claimed } of store.liveInstances()) {
    if (nodeType === 'VM') broken.push(...machineDiffers(world, store, id, now));
    if (!claimed || nodeType === 'VM') continue;
    const { power } = world.host.row();
    if (now === 'active' && power !== 'on') broken.push(`host-off-but-active ${id}`);
    if (now === 'stopped' && power !== 'off') broken.push(`host-on-but-stopped ${id}`);
  }
  return broken;
}

const machineStates: Readonly<Record<string, readonly string[]>> = {
  active: ['running'],
  stopped: ['off'],
  paused: ['paused'],
  suspended: ['suspended'],
  rescued: ['running', 'off'],
};

/** An instance's machine is what its state says, and has exactly the functions that the host can see. */
function machineDiffers(world: SimWorld, store: NodeStore, id: InstanceId, now: string): string[] {
  const machine = world.state.machines.get(id);
  const may = machineStates[now];
  if (!may) return machine ? [`machine-of ${now} ${id} is ${machine.state}`] : [];
  if (!machine || !may.includes(machine.state)) return [`machine-differs ${id} is ${now}, machine ${machine?.state}`];
  const has = machine.devices.map((each) => each.functionId).sort();
  const plugged = store.functions(id).filter((each) => each.phase === 'plugged');
  const wants = plugged.map((each) => each.id).sort();
  return has.join() === wants.join() ? [] : [`devices-differ ${id} has ${has.join()}, wants ${wants.join()}`];
}

/** What the platform does not know. */
function untold(platform: Platform, store: NodeStore): string[] {
  const broken: string[] = [];
  const all = [...store.listInstances(null, { limit: 1000, cursor: null }).instances];
  all.push(...store.listInstances('deleted', { limit: 1000, cursor: null }).instances);
  for (const view of all) {
    const told = platform.told.get(view.uuid);
    if (!told) {
      if (view.state !== 'deleted') broken.push(`report-missing ${view.uuid} ${view.state}`);
      continue;
    }
    if (told.state !== view.state) broken.push(`report-stale ${view.uuid} is ${view.state}, told ${told.state}`);
    else if (view.state !== 'deleted' && told.view !== JSON.stringify({ ...view, task: null })) {
      broken.push(`report-differs ${view.uuid} told ${told.view} is ${JSON.stringify(view)}`);
    }
  }
  const status = platform.status();
  const listed = status?.instances.map(({ uuid, state }) => `${uuid} ${state}`).sort() ?? [];
  const live = all
    .filter(({ state }) => state !== 'deleted')
    .map(({ uuid, state }) => `${uuid} ${state}`)
    .sort();
  if (listed.join() !== live.join()) broken.push(`node-status-stale told [${listed.join()}] is [${live.join()}]`);
  return broken;
}

/** Rules that hold when every instance was destroyed. */
export function checkEmpty(world: SimWorld, store: NodeStore): string[] {
  return [
    ...store.liveInstances().map(({ id, state }) => `instance-left ${id} ${state}`),
    ...ownedThings(world.state).map(({ kind, id }) => `left-behind ${kind} ${id}`),
    ...store.functions().map(({ id }) => `row-left function ${id}`),
    ...store.bindings().map(({ key }) => `row-left binding ${key}`),
    ...store.ports().map(({ portId }) => `row-left port ${portId}`),
  ];
}

/** Operations that were promised and have not ended. */
export function checkPromises(store: NodeStore, accepted: ReadonlySet<string>): string[] {
  return [...accepted].flatMap((id) => {
    const record = store.getOperation(id as never);
    if (!record) return [`operation-forgotten ${id}`];
    return isEnded(record.state) ? [] : [`operation-not-ended ${record.kind} ${id} ${record.state}`];
  });
}
