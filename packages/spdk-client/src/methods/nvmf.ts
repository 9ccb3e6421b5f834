import { isAnything, isList, isNumber, isTrue, method } from '../method.ts';
import type { Transport } from './nvme.ts';

/** Where a subsystem is offered. */
export interface ListenAddress {
  readonly trtype: Transport;
  readonly traddr: string;
  readonly adrfam?: 'IPv4' | 'IPv6' | 'IB';
  readonly trsvcid?: string;
}

/** A namespace to add. */
export interface AddNamespace {
  readonly bdev_name: string;
  readonly nsid?: number;
  readonly uuid?: string;
  readonly nguid?: string;
  readonly eui64?: string;
  readonly ptpl_file?: string;
}

/** A namespace as it is listed. */
export interface Namespace {
  readonly nsid: number;
  readonly bdev_name: string;
  readonly uuid?: string;
  readonly nguid?: string;
}

/** A subsystem as it is listed; the discovery subsystem has no namespaces. */
export interface Subsystem {
  readonly nqn: string;
  readonly subtype: string;
  readonly listen_addresses: readonly ListenAddress[];
  readonly allow_any_host: boolean;
  readonly hosts: readonly { readonly nqn: string }[];
  readonly serial_number?: string;
  readonly model_number?: string;
  readonly max_namespaces?: number;
  readonly namespaces?: readonly Namespace[];
}

/** A transport to make; -32603 when it is there. */
export interface CreateTransport {
  readonly trtype: Transport;
  readonly max_queue_depth?: number;
  readonly max_io_qpairs_per_ctrlr?: number;
  readonly in_capsule_data_size?: number;
  readonly max_io_size?: number;
  readonly io_unit_size?: number;
  readonly num_shared_buffers?: number;
  readonly c2h_success?: boolean;
}

/** A subsystem to make. */
export interface CreateSubsystem {
  readonly nqn: string;
  readonly serial_number?: string;
  readonly model_number?: string;
  readonly max_namespaces?: number;
  readonly allow_any_host?: boolean;
  readonly ana_reporting?: boolean;
  readonly min_cntlid?: number;
  readonly max_cntlid?: number;
}

type Nqn = { readonly nqn: string };

/** The NVMe over fabrics target (SPDK doc/jsonrpc.md, "NVMe-oF Target"). */
export const nvmf = {
  /** Loads a transport. */
  createTransport: method<CreateTransport, true>('nvmf_create_transport', isTrue),
  /** The transports that are loaded. */
  transports: method<{ readonly trtype?: Transport }, readonly { readonly trtype: string }[]>(
    'nvmf_get_transports',
    isList({ trtype: 'string' }),
  ),
  /** Makes a subsystem. */
  createSubsystem: method<CreateSubsystem, true>('nvmf_create_subsystem', isTrue),
  /** Removes a subsystem, with its controllers. */
  removeSubsystem: method<Nqn, true>('nvmf_delete_subsystem', isTrue),
  /** The subsystems, that of discovery first. */
  subsystems: method<{ readonly nqn?: string }, readonly Subsystem[]>(
    'nvmf_get_subsystems',
    isList({ nqn: 'string', subtype: 'string', listen_addresses: 'array', hosts: 'array' }),
  ),
  /** Adds a namespace and gives its id. */
  addNamespace: method<Nqn & { readonly namespace: AddNamespace }, number>('nvmf_subsystem_add_ns', isNumber),
  /** Removes a namespace. */
  removeNamespace: method<Nqn & { readonly nsid: number }, true>('nvmf_subsystem_remove_ns', isTrue),
  /** Offers a subsystem at an address. */
  addListener: method<Nqn & { readonly listen_address: ListenAddress; readonly secure_channel?: boolean }, true>(
    'nvmf_subsystem_add_listener',
    isTrue,
  ),
  /** Takes the offer back. */
  removeListener: method<Nqn & { readonly listen_address: ListenAddress }, true>(
    'nvmf_subsystem_remove_listener',
    isTrue,
  ),
  /** Lets a host in; keys are names of the keyring. */
  addHost: method<Nqn & { readonly host: string; readonly psk?: string; readonly dhchap_key?: string }, true>(
    'nvmf_subsystem_add_host',
    isTrue,
  ),
  /** Shuts a host out. */
  removeHost: method<Nqn & { readonly host: string }, true>('nvmf_subsystem_remove_host', isTrue),
  /** Lets every host in, or only those that were added. */
  allowAnyHost: method<Nqn & { readonly allow_any_host: boolean }, true>('nvmf_subsystem_allow_any_host', isTrue),
  /** The hosts that are connected. */
  controllers: method<Nqn, unknown>('nvmf_subsystem_get_controllers', isAnything),
  /** Counters of the target. */
  stats: method<Record<never, never>, unknown>('nvmf_get_stats', isAnything),
} as const;
