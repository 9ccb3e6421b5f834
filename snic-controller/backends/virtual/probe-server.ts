import { connect } from 'node:net';
import type { Clock } from '../../../core/ports/clock.ts';

/**
 * Whether somebody serves a unix socket; `greets` also waits for the first bytes. QEMU stands still, all of its monitors with it, while it
 * waits for a server that does not answer, so that it is only sent to one that does.
 */
export function isServed(
  path: string,
  options: { readonly greets: boolean; readonly timeoutMs: number; readonly clock: Clock },
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (served: boolean): void => {
      timer.cancel();
      socket.destroy();
      resolve(served);
    };
    const timer = options.clock.timer(options.timeoutMs, () => end(false));
    socket.once('connect', () => !options.greets && end(true));
    socket.once('data', () => end(true));
    socket.once('error', () => end(false)); // nobody listens there, or it broke off: not served
    socket.once('close', () => end(false));
  });
}
