import { DpuError } from '../../core/errors.ts';
import type { LoadedConfig } from '../../kit/config.ts';

/** The settings of the host's BMC. */
export type HostSettings = Omit<LoadedConfig['host'], 'bios'>;

/** Refuses what a schema can't. @throws DpuError `invalid`. */
export function checkHost(host: HostSettings): void {
  if (host.kind !== 'bmc') return;
  if (!host.redfish && !host.ipmi) {
    throw new DpuError('invalid', 'host.redfish or host.ipmi is needed with host.kind bmc', { field: 'host' });
  }
  if (host.username === undefined) {
    throw new DpuError('invalid', 'host.username is needed with host.kind bmc', { field: 'host.username' });
  }
  const { fingerprint, ca_file: ca } = host.redfish ?? {};
  if (fingerprint !== undefined && ca !== undefined) {
    throw new DpuError('invalid', 'host.redfish takes fingerprint or ca_file', { field: 'host.redfish.ca_file' });
  }
}
