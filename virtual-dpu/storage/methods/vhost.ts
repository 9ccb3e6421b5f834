import type { Face, Method } from '../face.ts';
import { decode, decodeOptional, isRecord } from '../params.ts';
import { errno, RPC } from '../rpc-error.ts';
import { createController, deleteController, describeController, type VhostController } from '../vhost.ts';

/** What vhost methods say to parameters that they can't read. */
const UNREADABLE = errno('EINVAL', RPC.invalidParams);

const BLK = {
  ctrlr: 'string',
  dev_name: 'string',
  readonly: 'bool?',
  packed_ring: 'bool?',
  cpumask: 'string?',
  transport: 'string?',
} as const;

/** Methods of vhost (SPDK doc/jsonrpc.md, "vhost"; lib/vhost/vhost_rpc.c of v24.01 for the errors). */
export const vhostMethods: Readonly<Record<string, Method>> = {
  async vhost_create_blk_controller(face, params) {
    // SPDK leaves what it does not know here to the transport
    const known = isRecord(params) ? Object.entries(params).filter(([name]) => Object.hasOwn(BLK, name)) : [];
    const given = decode(Object.fromEntries(known), BLK, UNREADABLE);
    if (given.transport !== undefined && given.transport !== 'vhost_user_blk') throw UNREADABLE;
    await createController(face, {
      name: given.ctrlr,
      bdev: given.dev_name,
      readOnly: given.readonly ?? false,
      cpumask: given.cpumask,
    });
    return true;
  },
  async vhost_delete_controller(face, params) {
    await deleteController(face, decode(params, { ctrlr: 'string' }, UNREADABLE).ctrlr);
    return true;
  },
  async vhost_get_controllers(face, params) {
    const { name } = decodeOptional(params, { name: 'string?' }, errno('EINVAL', RPC.internal));
    const wanted = name === undefined ? [...face.vhost.values()] : [controllerOf(face, name, RPC.internal)];
    return await Promise.all(wanted.map((each) => describeController(face, each)));
  },
  vhost_controller_set_coalescing(face, params) {
    const given = decode(params, { ctrlr: 'string', delay_base_us: 'uint32', iops_threshold: 'uint32' }, UNREADABLE);
    const controller = controllerOf(face, given.ctrlr, RPC.invalidParams);
    controller.coalescing = { delay: given.delay_base_us, threshold: given.iops_threshold };
    return true;
  },
  virtio_blk_get_transports(_face, params) {
    const { name } = decodeOptional(params, { name: 'string?' });
    if (name !== undefined && name !== 'vhost_user_blk') throw errno('ENODEV');
    return [{ name: 'vhost_user_blk' }];
  },
};

function controllerOf(face: Face, name: string, code: number): VhostController {
  const found = face.vhost.get(name);
  if (found === undefined) throw errno('ENODEV', code);
  return found;
}
