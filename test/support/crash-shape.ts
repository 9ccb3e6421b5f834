import { checkOwners, checkWorld, ownedThings } from '../../drivers/sim/invariants.ts';
import type { Life } from './crash-life.ts';
import { instance } from './crash-scenario.ts';

/** The instance as store and world together have it, without what chance gave it. */
export interface Shape {
  readonly state: string;
  readonly name: string;
  readonly flavor: string;
  readonly devices: readonly string[];
}

/** null: there is none, or no more. */
export function shapeOf({ node }: Life): Shape | null {
  const record = node.store.getInstance(instance);
  if (!record || record.state === 'deleted') return null;
  const functions = new Map(node.store.functions(instance).map((each) => [each.id, each]));
  const devices = node.store.bindings(instance).map((each) => {
    const made = functions.get(each.functionId);
    const { kind, key, phase, boot, readOnly, madeForInstance, sizeBytes, ips } = each;
    return JSON.stringify([kind, key, phase, boot, readOnly, madeForInstance, sizeBytes, ips.length, made?.phase]);
  });
  return { state: record.state, name: record.name, flavor: JSON.stringify(record.flavor), devices: devices.sort() };
}

/**
 * Everything that is wrong with a node at rest, whatever happened to it: leaks, half things, disagreement. Addresses on
 * the host's bus are compared only once reconcile had its turn.
 */
export function faultsOf(life: Life, reconciled = true): readonly string[] {
  const { world, node } = life;
  const { store } = node;
  const live = new Set(store.liveInstances().map((each) => each.id));
  const wrong = [...checkWorld(world), ...checkOwners(world, live)].map((each) => JSON.stringify(each));
  const compare = (what: string, ours: readonly string[], theirs: readonly string[]): void => {
    const [left, right] = [[...ours].sort(), [...theirs].sort()];
    if (JSON.stringify(left) !== JSON.stringify(right)) {
      wrong.push(`${what}: store ${JSON.stringify(left)}, world ${JSON.stringify(right)}`);
    }
  };
  const rows = store.functions();
  const marked = world.state.functions.rows().filter((each) => each.mark);
  compare(
    'functions',
    rows.map(({ id, mac, bdf, phase }) => JSON.stringify([id, mac, reconciled && bdf, phase === 'plugged'])),
    marked.map(({ id, mac, bdf, plugged }) => JSON.stringify([id, mac, reconciled && bdf, plugged])),
  );
  const bindings = store.bindings();
  compare(
    'ports of the switch',
    bindings.flatMap((each) => (each.kind === 'port' ? JSON.stringify([each.key, each.functionId, each.ips]) : [])),
    world.state.ports
      .rows()
      .flatMap((each) => (each.mark ? JSON.stringify([each.portId, each.functionId, each.mark.port?.ips]) : [])),
  );
  compare(
    'addresses',
    store.ports().map((each) => JSON.stringify([each.portId, each.mac, each.ips])),
    bindings.flatMap((each) => {
      if (each.kind !== 'port') return [];
      const mac = marked.find((made) => made.id === each.functionId)?.mac;
      return JSON.stringify([each.key, mac, each.ips]);
    }),
  );
  const disks = bindings.filter((each) => each.kind === 'volume');
  compare(
    'attachments',
    disks.map((each) => JSON.stringify([each.functionId, each.key, each.bdev])),
    world.state.attachments
      .rows()
      .flatMap((each) => (each.mark ? JSON.stringify([each.functionId, each.volumeId, each.bdev]) : [])),
  );
  const owned = ownedThings(world.state);
  compare(
    'exports',
    disks.map((each) => `${each.key}/${each.instance}`),
    owned.flatMap((each) => (each.kind === 'export' ? each.id : [])),
  );
  compare(
    'volumes',
    disks.flatMap((each) => (each.madeForInstance ? each.key : [])),
    owned.flatMap((each) => (each.kind === 'volume' ? each.id : [])),
  );
  const state = store.getInstance(instance)?.state;
  const { power } = world.host.row();
  if (state === 'active' && power === 'off') wrong.push('active on a host that is off');
  if (state === 'stopped' && power === 'on') wrong.push('stopped on a host that is on');
  if (world.state.planted.size !== 6) wrong.push('the foreign things are not all planted');
  return wrong;
}
