import type { NetworkPort } from '../../../core/ports/network-service.ts';
import type { InstanceMetadata } from '../../../kit/instance-metadata.ts';
import type { LocalInstance, LocalSubnet } from './local-networks.ts';

/** What an instance is told of itself, in OpenStack's form (nova, "Metadata service"). */
export function metadataOf(
  instance: LocalInstance,
  port: NetworkPort,
  address: string,
  subnet: LocalSubnet | undefined,
): InstanceMetadata {
  const { id, name, metadata, sshKeys, userData } = instance;
  return {
    metaData: {
      uuid: id,
      name,
      hostname: name,
      meta: metadata,
      public_keys: Object.fromEntries(sshKeys.map((key, index) => [`key-${index}`, key])),
      launch_index: 0,
    },
    userData: userData === null ? null : Buffer.from(userData),
    networkData: {
      links: [
        { id: port.portId, type: 'phy', ethernet_mac_address: port.mac, mtu: subnet?.mtu ?? null, vif_id: port.portId },
      ],
      networks: [{ id: 'network0', type: 'ipv4_dhcp', link: port.portId, network_id: port.subnet }],
      services: (subnet?.dns ?? []).map((each) => ({ type: 'dns', address: each })),
    },
    ip: address,
    mac: port.mac,
  };
}
