import {
  type CallOptions,
  deleteVhostController,
  findVhostController,
  InUseError,
  InvalidParamsError,
  type SpdkClient,
} from 'spdk-client';
import type { Clock } from '../../core/ports/clock.ts';

/** How long a front end that was told to go may take until SPDK has seen it go. */
const graceMs = 2000;
const pauseMs = 25;

/**
 * The controller is gone when it resolves; one that is not there is fine. A host that has just let go of it is waited for: SPDK learns that a moment
 * later. @throws InUseError when a front end stays connected.
 */
export async function stopController(
  spdk: SpdkClient,
  clock: Clock,
  ctrlr: string,
  options: CallOptions = {},
): Promise<void> {
  const until = clock.monotonicMs() + graceMs;
  for (;;) {
    try {
      await deleteVhostController(spdk, ctrlr, options);
      return;
    } catch (error) {
      // refused, and then nobody was connected any more: -32602 is all that SPDK says
      const mayPass = error instanceof InUseError || error instanceof InvalidParamsError;
      if (!mayPass || clock.monotonicMs() >= until) throw await stillInUse(error);
    }
    await clock.sleep(pauseMs, options.signal);
  }

  async function stillInUse(error: unknown): Promise<unknown> {
    if (!(error instanceof InvalidParamsError)) return error;
    const found = await findVhostController(spdk, ctrlr, options);
    return found?.sessions?.length ? new InUseError(`a front end is connected to ${ctrlr}`, { cause: error }) : error;
  }
}
