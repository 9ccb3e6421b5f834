import type { Face, Method } from '../face.ts';
import { TICK_RATE } from '../iostat.ts';
import { decode, decodeOptional } from '../params.ts';
import { errno, RPC, RpcError } from '../rpc-error.ts';
import { refuseParams } from './modules.ts';

/** The version whose contract this is. */
const VERSION = { version: 'SPDK v24.01', fields: { major: 24, minor: 1, patch: 0, suffix: '' } };

/** Subsystems in the order of their start, as recorded. */
const SUBSYSTEMS: readonly (readonly [name: string, ...needs: readonly string[]])[] = [
  ['iobuf'],
  ['sock'],
  ['vmd'],
  ['accel', 'iobuf'],
  ['bdev', 'accel', 'vmd', 'sock', 'iobuf'],
  ['scsi', 'bdev'],
  ['scheduler'],
  ['vhost_scsi', 'scsi'],
  ['vhost_blk', 'bdev'],
  ['nbd', 'bdev'],
  ['nvmf', 'bdev', 'sock'],
  ['iscsi', 'scsi', 'sock'],
];

/** Methods of the application itself (SPDK doc/jsonrpc.md, "App Framework", and of notifications). */
export function frameworkMethods(names: () => readonly string[]): Readonly<Record<string, Method>> {
  return {
    spdk_get_version(_face, params) {
      refuseParams('spdk_get_version', params);
      return VERSION;
    },
    rpc_get_methods(_face, params) {
      decodeOptional(params, { current: 'bool?', include_aliases: 'bool?' });
      return names();
    },
    framework_wait_init: () => true,
    framework_get_subsystems(_face, params) {
      refuseParams('framework_get_subsystems', params);
      return SUBSYSTEMS.map(([subsystem, ...depends_on]) => ({ subsystem, depends_on }));
    },
    framework_get_reactors(_face, params) {
      refuseParams('framework_get_reactors', params);
      const ticks = Math.round(performance.now() * (TICK_RATE / 1000));
      const thread = { name: 'app_thread', id: 1, cpumask: '1', elapsed: ticks };
      const { active, idle } = performance.eventLoopUtilization();
      const [busy, rest] = [active, idle].map((ms) => Math.round(ms * (TICK_RATE / 1000)));
      const reactor = { lcore: 0, busy, idle: rest, in_interrupt: false, lw_threads: [thread] };
      return { tick_rate: TICK_RATE, reactors: [reactor] };
    },
    framework_get_config(face, params) {
      const { name } = decode(params, { name: 'string' });
      if (!SUBSYSTEMS.some(([each]) => each === name)) {
        throw new RpcError(RPC.invalidParams, `Subsystem '${name}' not found`);
      }
      return configOf(face, name);
    },
    notify_get_types(_face, params) {
      if (params !== undefined) throw new RpcError(RPC.invalidParams, 'No parameters required');
      return ['bdev_register', 'bdev_unregister'];
    },
    notify_get_notifications(face, params) {
      const given = decodeOptional(params, { id: 'uint64?', max: 'uint64?' }, errno('EINVAL', RPC.invalidParams));
      const { id: from = 0, max = Number.MAX_SAFE_INTEGER } = given;
      return face.bdevs
        .notifications()
        .filter((each) => each.id >= from)
        .slice(0, max);
    },
  };
}

function configOf(face: Face, name: string): readonly object[] | null {
  switch (name) {
    case 'bdev':
      return face.bdevs.all().flatMap(({ config }) => (config === null ? [] : [config]));
    case 'vhost_blk':
      return [...face.vhost.values()].map((each) => ({
        method: 'vhost_create_blk_controller',
        params: { ctrlr: each.name, dev_name: each.served.bdev?.name ?? '', readonly: each.readOnly },
      }));
    default:
      return null;
  }
}
