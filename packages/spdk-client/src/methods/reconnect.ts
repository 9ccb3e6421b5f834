import { InvalidOptionsError } from '../errors.ts';
import type { ReconnectOptions } from './nvme.ts';

/**
 * The combinations that SPDK takes (SPDK doc/nvme_multipath.md, "Reconnect"): a delay needs a loss time-out of -1 or at
 * least the delay; no delay needs a loss time-out of 0; failing fast, if at all, not before the delay and before the loss.
 * @throws InvalidOptionsError
 */
export function checkReconnect(options: ReconnectOptions): void {
  const {
    ctrlr_loss_timeout_sec: loss = 0,
    reconnect_delay_sec: delay = 0,
    fast_io_fail_timeout_sec: fast = 0,
  } = options;
  if (loss < -1) throw new InvalidOptionsError('ctrlr_loss_timeout_sec is -1 or more');
  if (delay < 0 || fast < 0) throw new InvalidOptionsError('times are not negative');
  if (delay === 0) {
    if (loss !== 0 || fast !== 0)
      throw new InvalidOptionsError('without reconnect_delay_sec there are no other time-outs');
    return;
  }
  if (loss !== -1 && loss < delay) throw new InvalidOptionsError('ctrlr_loss_timeout_sec is -1 or at least the delay');
  if (fast === 0) return;
  if (fast < delay) throw new InvalidOptionsError('fast_io_fail_timeout_sec is at least the delay');
  if (loss !== -1 && fast >= loss)
    throw new InvalidOptionsError('fast_io_fail_timeout_sec is below ctrlr_loss_timeout_sec');
}
