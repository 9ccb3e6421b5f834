import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** Get Channel Authentication Capabilities outside of a session (IPMI 2.0 22.13): what every BMC answers to anybody. */
const QUESTION = Buffer.from([
  ...[0x06, 0x00, 0xff, 0x07, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0x09],
  ...[0x20, 0x18, 0xc8, 0x81, 0x00, 0x38, 0x8e, 0x04, 0xb5],
]);

/** Whether a BMC answers at the port of 127.0.0.1 within the time. */
export async function ipmiAnswers(port: number, timeoutMs: number): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      const done = (answer: boolean): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      socket.once('message', () => done(true));
      socket.once('error', () => done(false));
      socket.send(QUESTION, port, '127.0.0.1');
    });
  } finally {
    socket.close();
  }
}

/**
 * A UDP port that was free a moment ago: below those that the kernel gives to whoever asks for any (ip_local_port_range), so that none of these has it
 * before ipmi_sim does, or while that is started again.
 */
export async function freeUdpPort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000);
    const socket = createSocket('udp4');
    try {
      const bound = once(socket, 'listening');
      socket.bind(port, '127.0.0.1');
      await bound;
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    } finally {
      socket.close();
    }
  }
}
