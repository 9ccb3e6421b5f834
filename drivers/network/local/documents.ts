import type { NetworkPort } from '../../../core/ports/network-service.ts';
import { guestDocuments } from '../../../kit/guest-documents.ts';
import type { InstanceMetadata } from '../../../kit/instance-metadata.ts';
import type { LocalInstance, LocalSubnet } from './local-networks.ts';

/** What an instance is told of itself, in OpenStack's form (nova, "Metadata service"). */
export function metadataOf(
  instance: LocalInstance,
  port: NetworkPort,
  address: string,
  subnet: LocalSubnet | undefined,
): InstanceMetadata {
  const { portId, mac, subnet: network } = port;
  const nics = [{ portId, mac, mtu: subnet?.mtu ?? null, network }];
  return {
    ...guestDocuments({ ...instance, nics, dns: subnet?.dns ?? [] }),
    userData: instance.userData === null ? null : Buffer.from(instance.userData),
    ip: address,
    mac,
  };
}
