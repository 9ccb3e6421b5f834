import { DpuError } from '../../../core/errors.ts';
import type { VolumeConnection } from '../../../core/ports/storage-target.ts';
import type { Backend, ConnectionContext } from './backend.ts';
import { iscsiBackend } from './iscsi.ts';
import { localBackend } from './local.ts';
import { nvmeofBackend } from './nvmeof.ts';
import { rbdBackend } from './rbd.ts';

/** How a volume becomes a bdev, by its protocol (Cinder's `driver_volume_type`). @throws DpuError `unsupported`, `invalid`. */
export function backendOf(connection: VolumeConnection, context: ConnectionContext): Backend {
  const { protocol, data } = connection;
  if (data.encrypted === true) throw new DpuError('unsupported', 'volumes that the client must decrypt are not served');
  switch (protocol) {
    case 'local':
      return localBackend(data, context);
    case 'rbd':
      return rbdBackend(data, context);
    case 'nvmeof':
      return nvmeofBackend(data, context);
    case 'iscsi':
      return iscsiBackend(data, context);
    default:
      throw new DpuError('unsupported', `volumes by ${protocol} can't be served`, {
        field: 'connection_info.driver_volume_type',
      });
  }
}
