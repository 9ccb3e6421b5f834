import { isIP } from 'node:net';
import type { Method } from '../face.ts';
import { attach, describeNvme, detach, type TransportId } from '../nvme-initiator.ts';
import { decode, decodeOptional } from '../params.ts';
import { errno, RpcError } from '../rpc-error.ts';

const ADDRESS = {
  trtype: 'string?',
  traddr: 'string?',
  adrfam: 'string?',
  trsvcid: 'string?',
  subnqn: 'string?',
  hostaddr: 'string?',
  hostsvcid: 'string?',
} as const;

/** Methods of NVMe-oF as initiator (SPDK doc/jsonrpc.md; module/bdev/nvme/bdev_nvme_rpc.c of v24.01). The target must be another face's. */
export const nvmeMethods: Readonly<Record<string, Method>> = {
  async bdev_nvme_attach_controller(face, params) {
    const given = decode(params, {
      ...ADDRESS,
      name: 'string',
      trtype: 'string',
      traddr: 'string',
      priority: 'string?',
      hostnqn: 'string?',
      prchk_reftag: 'bool?',
      prchk_guard: 'bool?',
      hdgst: 'bool?',
      ddgst: 'bool?',
      fabrics_connect_timeout_us: 'uint64?',
      multipath: 'string?',
      num_io_queues: 'uint32?',
      ctrlr_loss_timeout_sec: 'int32?',
      reconnect_delay_sec: 'uint32?',
      fast_io_fail_timeout_sec: 'uint32?',
      psk: 'string?',
      max_bdevs: 'uint32?',
    });
    const { name, traddr, trsvcid = '4420', subnqn = '' } = given;
    const trtype = given.trtype.toUpperCase();
    if (!['TCP', 'RDMA', 'PCIE', 'VFIOUSER'].includes(trtype)) {
      throw new RpcError(-22, `Failed to parse trtype: ${given.trtype}`);
    }
    const trid: TransportId = { trtype, adrfam: given.adrfam ?? 'IPv4', traddr, trsvcid, subnqn };
    const known = face.nvme.get(name);
    if (known !== undefined) {
      const said = (text: string) => `A controller named ${name} already exists${text}\n`;
      if (given.multipath === 'disable') throw new RpcError(-114, said(' and multipath is disabled'));
      if (known.trid.traddr === traddr && known.trid.trsvcid === trsvcid) {
        throw new RpcError(-114, said(' with the specified network path'));
      }
      if (known.trid.subnqn !== subnqn) {
        throw new RpcError(-22, said(`, but uses a different subnqn (${known.trid.subnqn})`));
      }
      throw errno('EOPNOTSUPP'); // a second path: NBD has one
    }
    const port = Number(trsvcid);
    if (trtype !== 'TCP' || isIP(traddr) === 0 || !(port > 0 && port <= 0xffff)) throw errno('ENODEV');
    return await attach(face, { name, trid, hostnqn: given.hostnqn, lossSeconds: given.ctrlr_loss_timeout_sec });
  },
  async bdev_nvme_detach_controller(face, params) {
    const given = decode(params, { ...ADDRESS, name: 'string' });
    const controller = face.nvme.get(given.name);
    if (controller === undefined) throw errno('ENODEV');
    const other = (['traddr', 'trsvcid', 'subnqn'] as const).some(
      (each) => given[each] !== undefined && given[each] !== controller.trid[each],
    );
    if (other) throw errno('ENODEV');
    await detach(face, controller);
    return true;
  },
  bdev_nvme_get_controllers(face, params) {
    const { name } = decodeOptional(params, { name: 'string?' });
    if (name === undefined) return [...face.nvme.values()].map(describeNvme);
    const found = face.nvme.get(name);
    if (found === undefined) throw errno('ENODEV');
    return [describeNvme(found)];
  },
};
