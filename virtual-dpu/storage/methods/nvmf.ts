import { isIP } from 'node:net';
import type { Face, Method } from '../face.ts';
import { describeSubsystem, type ListenAddress, type Subsystem } from '../nvmf-target.ts';
import { decode, decodeOptional } from '../params.ts';
import { errno, RPC, RpcError } from '../rpc-error.ts';

/** What the target's methods say to nearly everything that is wrong. */
const INVALID = new RpcError(RPC.invalidParams, 'Invalid parameters');
const DISCOVERY = 'nqn.2014-08.org.nvmexpress.discovery';
const NQN = { nqn: 'string', tgt_name: 'string?' } as const;

/** The discovery subsystem as it is listed: it is always there, and nobody listens for it. */
const DISCOVERY_LINE = {
  nqn: DISCOVERY,
  subtype: 'Discovery',
  listen_addresses: [],
  allow_any_host: true,
  hosts: [],
};

/** NVMe qualified names: at most 223 bytes (NVMe base specification, "NVMe Qualified Names"). */
const NQN_FORM = /^nqn\.\d{4}-\d{2}\.[^\s/]{1,}$/;

/** Methods of the stand-in for SPDK's NVMe-oF target (SPDK doc/jsonrpc.md, "NVMe-oF Target"; lib/nvmf/nvmf_rpc.c of v24.01). */
export const nvmfMethods: Readonly<Record<string, Method>> = {
  nvmf_create_transport(face, params) {
    const { trtype } = decodeTransport(params);
    const type = trtype.toUpperCase();
    if (type !== 'TCP') throw new RpcError(RPC.internal, `Transport type '${trtype}' create failed`);
    if (face.nvmf.transports.has(type)) throw new RpcError(RPC.internal, `Transport type '${trtype}' already exists`);
    face.nvmf.transports.add(type);
    return true;
  },
  nvmf_get_transports(face, params) {
    const { trtype } = decodeOptional(params, { trtype: 'string?', tgt_name: 'string?' }, INVALID);
    const types = [...face.nvmf.transports];
    if (trtype !== undefined && !types.includes(trtype.toUpperCase())) throw errno('ENODEV');
    return types.map((each) => ({ trtype: each }));
  },
  nvmf_create_subsystem(face, params) {
    const given = decode(
      params,
      {
        ...NQN,
        serial_number: 'string?',
        model_number: 'string?',
        max_namespaces: 'uint32?',
        allow_any_host: 'bool?',
        ana_reporting: 'bool?',
        min_cntlid: 'uint16?',
        max_cntlid: 'uint16?',
        max_discard_size_kib: 'uint64?',
        max_write_zeroes_size_kib: 'uint64?',
      },
      INVALID,
    );
    const { nqn } = given;
    if (!NQN_FORM.test(nqn) || Buffer.byteLength(nqn) > 223 || nqn === DISCOVERY || face.nvmf.subsystems.has(nqn)) {
      throw new RpcError(RPC.internal, `Unable to create subsystem ${nqn}`);
    }
    const serial = given.serial_number ?? '00000000000000000000';
    const model = given.model_number ?? 'SPDK bdev Controller';
    if (serial.length > 20) throw new RpcError(RPC.invalidParams, `Invalid SN ${serial}`);
    if (model.length > 40) throw new RpcError(RPC.invalidParams, `Invalid MN ${model}`);
    face.nvmf.subsystems.set(nqn, {
      nqn,
      serial,
      model,
      maxNamespaces: given.max_namespaces || 32,
      cntlids: [given.min_cntlid ?? 1, given.max_cntlid ?? 65519],
      allowAnyHost: given.allow_any_host ?? false,
      hosts: new Set(),
      listeners: [],
      namespaces: new Map(),
    });
    return true;
  },
  async nvmf_delete_subsystem(face, params) {
    const subsystem = subsystemOf(face, decode(params, NQN, INVALID).nqn);
    for (const address of [...subsystem.listeners]) await face.nvmf.unlisten(subsystem, address);
    for (const nsid of [...subsystem.namespaces.keys()]) await face.nvmf.removeNamespace(subsystem, nsid);
    face.nvmf.subsystems.delete(subsystem.nqn);
    return true;
  },
  nvmf_get_subsystems(face, params) {
    const { nqn } = decodeOptional(params, { nqn: 'string?', tgt_name: 'string?' }, INVALID);
    const all = [...face.nvmf.subsystems.values()].map(describeSubsystem);
    if (nqn === undefined) return [DISCOVERY_LINE, ...all];
    if (nqn === DISCOVERY) return [DISCOVERY_LINE];
    const found = face.nvmf.subsystems.get(nqn);
    if (found === undefined) throw errno('ENODEV');
    return [describeSubsystem(found)];
  },
  async nvmf_subsystem_add_ns(face, params) {
    const given = decode(params, { ...NQN, namespace: 'object' }, INVALID);
    const { bdev_name, nsid, uuid, nguid } = decode(
      given.namespace,
      {
        bdev_name: 'string',
        nsid: 'uint32?',
        uuid: 'uuid?',
        nguid: 'string?',
        eui64: 'string?',
        ptpl_file: 'string?',
        anagrpid: 'uint32?',
      },
      INVALID,
    );
    const subsystem = subsystemOf(face, given.nqn);
    const bdev = face.bdevs.find(bdev_name);
    if (bdev === undefined) throw INVALID;
    const options = {
      ...(nsid !== undefined && nsid !== 0 && { nsid }),
      ...(uuid !== undefined && { uuid }),
      ...(nguid !== undefined && { nguid }),
    };
    return await invalidIfRefused(face.nvmf.addNamespace(subsystem, bdev, options));
  },
  async nvmf_subsystem_remove_ns(face, params) {
    const { nqn, nsid } = decode(params, { ...NQN, nsid: 'uint32' }, INVALID);
    await invalidIfRefused(face.nvmf.removeNamespace(subsystemOf(face, nqn), nsid));
    return true;
  },
  async nvmf_subsystem_add_listener(face, params) {
    const given = decode(
      params,
      { ...NQN, listen_address: 'object', secure_channel: 'bool?', ana_state: 'string?' },
      INVALID,
    );
    const subsystem = subsystemOf(face, given.nqn);
    const address = addressOf(given.listen_address);
    if (!face.nvmf.transports.has(address.trtype) || subsystem.listeners.some((each) => same(each, address))) {
      throw INVALID;
    }
    try {
      await face.nvmf.listen(subsystem, address);
    } catch (error) {
      face.log.warn('the target can not listen', { address: address.traddr, port: address.trsvcid, error });
      throw INVALID;
    }
    return true;
  },
  async nvmf_subsystem_remove_listener(face, params) {
    const given = decode(params, { ...NQN, listen_address: 'object' }, INVALID);
    const subsystem = subsystemOf(face, given.nqn);
    await invalidIfRefused(face.nvmf.unlisten(subsystem, addressOf(given.listen_address)));
    return true;
  },
  nvmf_subsystem_get_listeners(face, params) {
    const { listeners } = subsystemOf(face, decode(params, NQN, INVALID).nqn);
    return listeners.map((address) => ({ address, ana_states: [{ ana_group: 1, ana_state: 'optimized' }] }));
  },
  nvmf_subsystem_add_host(face, params) {
    const { nqn, host } = decode(params, { ...NQN, host: 'string', psk: 'string?' }, INVALID);
    subsystemOf(face, nqn).hosts.add(host);
    return true;
  },
  nvmf_subsystem_remove_host(face, params) {
    const { nqn, host } = decode(params, { ...NQN, host: 'string' }, INVALID);
    if (!subsystemOf(face, nqn).hosts.delete(host)) throw INVALID;
    return true;
  },
  nvmf_subsystem_allow_any_host(face, params) {
    const given = decode(params, { ...NQN, allow_any_host: 'bool' }, INVALID);
    subsystemOf(face, given.nqn).allowAnyHost = given.allow_any_host;
    return true;
  },
};

function subsystemOf(face: Face, nqn: string): Subsystem {
  const found = face.nvmf.subsystems.get(nqn);
  if (found === undefined) throw INVALID;
  return found;
}

/** Only the type matters of a transport: the stand-in has nothing to tune. */
function decodeTransport(params: unknown): { readonly trtype: string } {
  const { trtype } = decodeOptional(
    typeof params === 'object' && params !== null && 'trtype' in params ? { trtype: params.trtype } : undefined,
    { trtype: 'string?' },
    INVALID,
  );
  if (trtype === undefined) throw INVALID;
  return { trtype };
}

function addressOf(given: unknown): ListenAddress {
  const decoded = decode(
    given,
    { trtype: 'string?', transport: 'string?', adrfam: 'string?', traddr: 'string', trsvcid: 'string?' },
    INVALID,
  );
  const { traddr, trsvcid = '' } = decoded;
  const port = Number(trsvcid);
  if (isIP(traddr) === 0 || !/^\d+$/.test(trsvcid) || port < 1 || port > 0xffff) throw INVALID;
  const trtype = (decoded.trtype ?? decoded.transport ?? '').toUpperCase();
  return { trtype, adrfam: decoded.adrfam ?? (isIP(traddr) === 6 ? 'IPv6' : 'IPv4'), traddr, trsvcid };
}

function same(a: ListenAddress, b: ListenAddress): boolean {
  return a.trtype === b.trtype && a.traddr === b.traddr && a.trsvcid === b.trsvcid;
}

async function invalidIfRefused<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof RpcError ? INVALID : error;
  }
}
