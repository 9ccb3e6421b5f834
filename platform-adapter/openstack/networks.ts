import { DpuError, hasCode } from '../../core/errors.ts';
import { parseMac } from '../../core/mac.ts';
import type { NetworkService } from '../../core/ports/network-service.ts';
import type { Neutron } from './rest/neutron.ts';

/**
 * Ports of a node whose platform is OpenStack: they are Neutron's, made, bound and given back by nova's requests (flows). What happens to an instance on
 * the node only reads them, and lets go of none.
 */
export function createNeutronNetworks(neutron: Pick<Neutron, 'showPort'>): NetworkService {
  const read: NetworkService['ensurePort'] = async ({ portId, mac, instance }, signal) => {
    const port = await neutron.showPort(portId, { signal }).catch((error: unknown) => {
      if (!hasCode(error, 'not_found')) throw error;
      throw new DpuError('not_found', 'port does not exist', { field: 'port_id', cause: error });
    });
    if (mac !== null && port.macAddress !== mac) {
      throw new DpuError('conflict', 'the port has another MAC', { field: 'mac' });
    }
    return {
      portId,
      subnet: null,
      mac: parseMac(port.macAddress, 'mac'),
      ips: port.fixedIps.map(({ ipAddress }) => ipAddress),
      instance,
      madeForInstance: false,
    };
  };
  return {
    async check(spec, signal) {
      if (spec.subnet !== null) {
        throw new DpuError('unsupported', 'on a node of OpenStack a NIC is given a port', { field: 'subnet' });
      }
      await read(spec, signal);
    },
    ensurePort: read,
    releasePort: () => Promise.resolve(),
    readoptPort: () => Promise.resolve(),
    listPorts: () => Promise.resolve([]),
  };
}
