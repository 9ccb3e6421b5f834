/**
 * Ports for programs that must be told theirs. They are below the kernel's own choice (ip_local_port_range begins at 32768), so that nobody
 * who asks for any port gets one between its being chosen here and its program's listening, or while that program is away for a restart.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const FIRST = 15_000;
const END = 32_000;

/** A TCP port of 127.0.0.1 that nobody listens on now. @throws Error where none can be listened on */
export async function freePort(): Promise<number> {
  return await freeOne((port, settle) => {
    const server = createServer();
    server.once('error', settle);
    server.listen(port, '127.0.0.1', () => server.close(() => settle()));
  });
}

/** A UDP port of 127.0.0.1 that nobody has now. @throws Error where none can be bound */
export async function freeUdpPort(): Promise<number> {
  return await freeOne((port, settle) => {
    const socket = createSocket('udp4');
    socket.once('error', (error) => socket.close(() => settle(error)));
    socket.bind(port, '127.0.0.1', () => socket.close(() => settle()));
  });
}

async function freeOne(take: (port: number, settle: (error?: Error) => void) => void): Promise<number> {
  for (let left = 50; ; left -= 1) {
    const port = randomInt(FIRST, END);
    const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => take(port, resolve));
    if (error === undefined) return port;
    if (error.code !== 'EADDRINUSE' || left === 0) throw error;
  }
}
