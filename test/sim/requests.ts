import type { MutatingMethod } from '../../core/ports/compute-service.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { JsonObject } from '../../core/units.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

/** A request as a platform could send it. */
export interface Request {
  readonly method: MutatingMethod;
  readonly args: JsonObject;
}

/** What requests are drawn from. */
export interface RequestPool {
  readonly random: SeededRandom;
  /** Volumes of the catalogue. */
  readonly volumes: readonly string[];
  /** Whether requests may bring their own connection_info: a lost store loses it. */
  readonly connections: boolean;
  readonly nodeType: 'BM' | 'VM';
}

/** A random request, often one that makes sense now. */
export function randomRequest(pool: RequestPool, store: NodeStore, power: 'on' | 'off'): Request {
  const { random } = pool;
  const live = store.liveInstances();
  const more = pool.nodeType === 'VM' && live.length < 4 ? 0.25 : 0.08;
  if (live.length === 0 ? random.chance(0.95) : random.chance(more)) return build(pool);
  const target = live.length > 0 && random.chance(0.96) ? random.pick(live).id : random.uuid();
  const ids = random.chance(0.5) ? { request_id: random.uuid() } : {};
  const of = (method: MutatingMethod, args: JsonObject = {}): Request => ({
    method,
    args: { uuid: target, ...args, ...ids },
  });
  const bound = store.bindings().filter((each) => each.instance === target);
  const key = (kind: 'port' | 'volume'): string => {
    const keys = bound.filter((each) => each.kind === kind && (!each.boot || random.chance(0.1))).map(({ key }) => key);
    return keys.length > 0 && random.chance(0.9) ? random.pick(keys) : random.uuid();
  };
  const has = (kind: 'port' | 'volume'): boolean => bound.some((each) => each.kind === kind && !each.boot);
  const hasBoot = bound.some((each) => each.boot);
  const state = store.getInstance(target as never)?.state;
  const likely = (...states: readonly string[]): number => (state !== undefined && states.includes(state) ? 3 : 0.2);
  const machines: readonly (readonly [number, () => Request])[] = [
    [likely('active'), () => of('pause_vm')],
    [2 * likely('paused'), () => of('unpause_vm')],
    [likely('active'), () => of('suspend_instance')],
    [2 * likely('suspended'), () => of('resume_instance')],
    [
      likely('active', 'stopped'),
      () => of('resize_vm', { new_flavor: random.pick(['1c1g', '4c8g', '8c16g', '12c9g']) }),
    ],
    [likely('active', 'stopped'), () => of('rebuild_instance')],
    [likely('active', 'stopped'), () => of('rescue_instance')],
    [2 * likely('rescued'), () => of('unrescue_instance')],
    [likely('active', 'stopped'), () => of('prepare_migration', { target: 'other' })],
    [2 * likely('migrating'), () => of('abort_migration')],
    [likely('migrating'), () => of('finish_migration')],
  ];
  const menu: readonly (readonly [number, () => Request])[] = [
    ...(pool.nodeType === 'VM' ? machines : []),
    [4, () => of('destroy_instance')],
    [power === 'off' ? 6 : 1, () => of('start_instance')],
    [power === 'on' ? 4 : 1, () => of('stop_instance', random.chance(0.5) ? { timeout: random.int(30) } : {})],
    [4, () => of('reboot_instance', { type: random.pick(['hard', 'soft']) })],
    [5, () => of('attach_interface', { network: network(pool, store) })],
    [has('port') ? 6 : 0.4, () => of('detach_interface', { port_id: key('port') })],
    [5, () => of('attach_volume', { volume: volume(pool, random.chance(hasBoot ? 0.05 : 0.6)) })],
    [has('volume') ? 6 : 0.4, () => of('detach_volume', { volume_id: key('volume') })],
    [1.5, () => of('rebuild_instance', rebuild(pool))],
    [1.5, () => of('rescue_instance', random.chance(0.5) ? { admin_pass: 'secret' } : {})],
    [live.some((each) => each.state === 'rescued') ? 6 : 0.3, () => of('unrescue_instance')],
    [1, () => of('reset_instance_admin_password', { new_password: 'secret' })],
    [0.3, () => of('pause_vm')],
    [0.3, () => ({ method: 'set_interface_qos', args: { port_id: key('port'), bps: 1000 } })],
  ];
  let at = random.unit() * menu.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, make] of menu) {
    at -= weight;
    if (at < 0) return make();
  }
  return build(pool);
}

/** The same request with something else asked for. */
export function changed(request: Request, random: SeededRandom): Request {
  if (request.method === 'build_and_run_instance') {
    return { ...request, args: { ...request.args, name: `other-${random.int(1000)}` } };
  }
  return { ...request, args: { ...request.args, uuid: random.uuid() } };
}

/** What makes a repeat the same request; null: nothing does. */
export function repeatKey({ method, args }: Request): string | null {
  if (method === 'destroy_instance') return null;
  if (method === 'build_and_run_instance' && typeof args.uuid === 'string') return `build:${args.uuid}`;
  return typeof args.request_id === 'string' ? `request:${args.request_id}` : null;
}

function build(pool: RequestPool): Request {
  const { random, volumes } = pool;
  const args: Record<string, unknown> = {
    name: `vm${random.int(100)}`,
    flavor: random.pick(['4c8g', '2c4g', '4c8g', '4c8g', random.pick(['huge', '999c9g', '4c8g'])]),
  };
  if (random.chance(0.9)) args.uuid = random.uuid();
  if (random.chance(0.3)) args.request_id = random.uuid();
  if (random.chance(0.2)) args.userdata = random.chance(0.5) ? '#!/bin/sh' : { admin_pass: 'secret' };
  if (random.chance(0.3)) args.config_drive = random.pick([true, 'cidata']);
  const wanted = volumes.filter(() => random.chance(0.25)).map((id) => ({ ...entry(pool, id), bootable: false }));
  const ownBoot = random.chance(0.2);
  if (ownBoot) args.volumes = [{ volume_id: random.pick(volumes), bootable: true }, ...wanted];
  else args.volumes = wanted;
  if (!ownBoot || random.chance(0.3)) args.image = random.chance(0.95) ? 'demo' : 'nowhere';
  const count = random.int(3);
  args.networks = Array.from({ length: count }, () => network(pool, null));
  return { method: 'build_and_run_instance', args: args as JsonObject };
}

function rebuild({ random }: RequestPool): JsonObject {
  return {
    ...(random.chance(0.3) ? { image: random.chance(0.8) ? 'demo' : 'nowhere' } : {}),
    ...(random.chance(0.3) ? { userdata: random.chance(0.5) ? '#!/bin/sh' : { admin_pass: 'secret' } } : {}),
  };
}

function entry(pool: RequestPool, id: string): JsonObject {
  const { random } = pool;
  return {
    volume_id: id,
    ...(random.chance(0.2) ? { read_only: true } : {}),
    ...(pool.connections && random.chance(0.2)
      ? { connection_info: { driver_volume_type: 'rbd', data: { auth_password: 'secret' } } }
      : {}),
  };
}

function volume(pool: RequestPool, bootable: boolean): JsonObject {
  const { random, volumes } = pool;
  const id = random.chance(0.95) ? random.pick(volumes) : random.uuid();
  return { ...entry(pool, id), ...(bootable ? { bootable } : {}) };
}

function network({ random }: RequestPool, store: NodeStore | null): JsonObject {
  const ports = store?.ports() ?? [];
  if (random.chance(0.05)) return { port_id: ports.length > 0 ? random.pick(ports).portId : random.uuid() };
  const subnet = random.chance(0.85) ? 'net1' : random.pick(['tiny', 'nowhere']);
  return {
    subnet,
    ...(random.chance(0.2) ? { mac: `02:00:00:00:00:0${random.int(4)}` } : {}),
    ...(random.chance(0.2) ? { type: 'VF' } : {}),
  };
}
