import { connect } from 'node:net';
import type { Clock } from '../../../core/ports/clock.ts';

/** Bytes of the greeting of an NBD server: its magic, the magic of options, its flags (NBD protocol, "Newstyle negotiation"). */
const greetingBytes = 18;
/** Our flags (fixed newstyle, no zeroes), and the option NBD_OPT_ABORT: a proper farewell, so that the server has nothing to complain of. */
const farewell = Buffer.concat([
  Buffer.from([0, 0, 0, 3]),
  Buffer.from('IHAVEOPT'),
  Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]),
]);

/**
 * Whether somebody serves a unix socket: takes connections and, for NBD, greets. QEMU stands still, all of its monitors with it, while it
 * waits for a server that does not answer, so that it is only sent to one that does.
 */
export function isServed(
  path: string,
  options: { readonly protocol: 'nbd' | 'vhost-user'; readonly timeoutMs: number; readonly clock: Clock },
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let received = 0;
    const end = (served: boolean): void => {
      resolve(served);
      if (served && options.protocol === 'nbd') socket.end(farewell);
      else socket.destroy();
    };
    const timer = options.clock.timer(options.timeoutMs, () => {
      resolve(false);
      socket.destroy();
    });
    socket.once('connect', () => options.protocol === 'vhost-user' && end(true));
    socket.on('data', (chunk) => {
      const before = received;
      received += chunk.length;
      if (before < greetingBytes && received >= greetingBytes) end(true);
    });
    socket.on('error', () => resolve(false)); // nobody listens there, or it broke off: not served
    socket.once('close', () => {
      timer.cancel();
      resolve(false);
    });
  });
}
