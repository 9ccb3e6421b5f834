import type { QmpClient } from './client.ts';
import { type CallOptions, withDeadline } from './deadline.ts';
import { ConnectionLostError, GenericError, UnplugPendingError, UnplugRefusedError } from './errors.ts';

/** Options of {@link deviceDel}. */
export interface DeviceDelOptions extends CallOptions {
  /**
   * Wait on when QEMU refuses while the device is still there, as it does when it was asked before. QEMU has no class for
   * that, so a device that can't be unplugged at all is waited for too. Default false.
   */
  readonly joinPending?: boolean;
}

/**
 * Unplugs a device and resolves when it is gone: `device_del` only asks, and DEVICE_DELETED tells (QEMU QMP Reference Manual,
 * "device_del"). A guest that does not run does not let go; a reset makes QEMU do it. The deadline is `timeoutMs`, default 30,000.
 * @throws UnplugRefusedError when the guest says no (DEVICE_UNPLUG_GUEST_ERROR)
 * @throws UnplugPendingError at the deadline
 * @throws DeviceNotFoundError when there is none of this id
 */
export async function deviceDel(client: QmpClient, id: string, options: DeviceDelOptions = {}): Promise<void> {
  const limit = options.timeoutMs ?? 30_000;
  let refusal: GenericError | undefined;
  // from before the command on, so that its event can't be missed
  using events = client.events({ names: ['DEVICE_DELETED', 'DEVICE_UNPLUG_GUEST_ERROR'] });
  const late = () => new UnplugPendingError(id, limit, refusal && { cause: refusal });
  await withDeadline(options, limit, late, async () => {
    try {
      await client.execute(
        'device_del',
        { id },
        { timeoutMs: limit, ...(options.signal && { signal: options.signal }) },
      );
    } catch (error) {
      if (!(error instanceof GenericError) || options.joinPending !== true) throw error;
      if (!(await deviceExists(client, id, options))) return;
      refusal = error;
    }
    for (;;) {
      const { done, value } = await events.next();
      if (done === true) throw new ConnectionLostError();
      if (value.data.device !== id) continue; // or of a part of a device, which has only a path
      if (value.event === 'DEVICE_DELETED') return;
      throw new UnplugRefusedError(id);
    }
  });
}

/** Whether a device with this `id` of device_add is plugged, one that is being unplugged included. */
export async function deviceExists(client: QmpClient, id: string, options: CallOptions = {}): Promise<boolean> {
  const list = await client.execute('qom-list', { path: '/machine/peripheral' }, options);
  return list.some((each) => each.name === id && each.type.startsWith('child<'));
}
