import { DpuError } from '../../core/errors.ts';
import type { LoadedConfig } from '../../kit/config.ts';

/** The settings of the switch. */
export type NetworkSettings = LoadedConfig['network'];

/** Refuses what a schema can't. @throws DpuError `invalid`. */
export function checkNetwork({ kind, local, flows, ovsdb, tls }: NetworkSettings): void {
  if (kind !== 'ovs') return;
  if (local.enabled && flows !== 'ours') {
    throw new DpuError('invalid', 'network.local.enabled needs network.flows: ours', {
      field: 'network.local.enabled',
    });
  }
  if (ovsdb.startsWith('ssl:') && tls === undefined) {
    throw new DpuError('invalid', 'network.tls is needed with an address that begins with ssl:', {
      field: 'network.tls',
    });
  }
}
