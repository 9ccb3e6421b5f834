import type { ConnectionInfo, Connector } from './rest/cinder.ts';

/** What tells this node to Cinder's drivers: the DPU is the initiator, not the host. */
export interface ConnectorFacts {
  readonly host: string;
  readonly ip: string;
  /** NVMe qualified name; null: Cinder gets one that follows from the node. */
  readonly hostNqn: string | null;
  /** iSCSI name; absent: Cinder gets one that follows from the node. */
  readonly initiatorIqn?: string;
  readonly uuid: string;
}

/** The connector of this node: its names follow from its uuid, so that they are the same over restarts (NVM Express 2.0 4.5, RFC 3720 3.2.6.3.1). */
export function connectorOf({ host, ip, hostNqn, initiatorIqn, uuid }: ConnectorFacts): Connector {
  return {
    host,
    ip,
    initiator: initiatorIqn ?? `iqn.2025-01.net.dpu-compute:${uuid}`,
    nqn: hostNqn ?? `nqn.2014-08.org.nvmexpress:uuid:${uuid}`,
    multipath: false,
    platform: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
    osType: 'linux',
  };
}

/**
 * A connection with the name that Cinder was told of us: a target lets in that name alone, so whoever opens the volume must use it. `host_nqn` is os-brick's
 * own word, `initiator_iqn` ours. Ceph knows users, not initiators.
 */
export function asInitiator(connection: ConnectionInfo, { initiator, nqn }: Connector): ConnectionInfo {
  const { driver_volume_type: type, data } = connection;
  const name =
    type === 'nvmeof' && nqn !== undefined
      ? { host_nqn: nqn }
      : type === 'iscsi' && initiator !== undefined
        ? { initiator_iqn: initiator }
        : {};
  return { ...connection, data: { ...data, ...name } };
}
