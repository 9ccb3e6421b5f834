import { createServer, type Server, type Socket } from 'node:net';
import { DpuError } from '../../core/errors.ts';
import type { Clock, Timer } from '../../core/ports/clock.ts';
import type { VncAddress } from '../../core/ports/host-agent.ts';
import type { InstanceId } from '../../core/units.ts';
import { type Picture, showPicture } from './rfb.ts';

/** What screens hang on. */
interface ScreenParts {
  readonly clock: Clock;
  /** Name of the machine while it has its devices; null: it is off, or there is none. */
  readonly shown: (instance: InstanceId) => string | null;
}

/** Screens of the simulated host's machines, each on a port of this machine's loopback from when it is first asked for until the machine is off. */
export interface SimScreens {
  /** @throws `bad_state` while the machine is off, `unavailable`. */
  address(instance: InstanceId): Promise<VncAddress>;
  close(): void;
}

const LOOPBACK = '127.0.0.1';
const LOOK_MS = 200;

interface Screen {
  readonly server: Server;
  readonly clients: Set<Socket>;
  readonly address: Promise<VncAddress>;
  timer: Timer | undefined;
}

/** Makes them; none listens before it is asked for. */
export function createScreens({ clock, shown }: ScreenParts): SimScreens {
  const screens = new Map<InstanceId, Screen>();

  function close(instance: InstanceId): void {
    const screen = screens.get(instance);
    screens.delete(instance);
    screen?.timer?.cancel();
    screen?.server.close();
    for (const client of screen?.clients ?? []) client.destroy();
  }

  function open(instance: InstanceId): Screen {
    const clients = new Set<Socket>();
    const server = createServer((socket) => {
      clients.add(socket);
      socket.on('close', () => clients.delete(socket));
      socket.on('error', () => socket.destroy()); // it is gone already
      showPicture(socket, shown(instance) ?? '', testPicture()).catch(() => socket.end()); // it has gone, or is no client of a screen
    });
    const screen: Screen = { server, clients, address: listen(server), timer: undefined };
    function look(): void {
      if (shown(instance) === null) close(instance);
      else screen.timer = clock.timer(LOOK_MS, look);
    }
    screen.timer = clock.timer(LOOK_MS, look);
    return screen;
  }

  return {
    async address(instance) {
      if (shown(instance) === null) throw new DpuError('bad_state', `machine ${instance} is off`);
      const screen = screens.get(instance) ?? open(instance);
      screens.set(instance, screen);
      try {
        return await screen.address;
      } catch (error) {
        close(instance);
        throw error;
      }
    },
    close() {
      for (const instance of [...screens.keys()]) close(instance);
    },
  };
}

async function listen(server: Server): Promise<VncAddress> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('listening', resolve);
  server.once('error', (cause) => reject(new DpuError('unavailable', 'a screen can not listen', { cause })));
  server.listen({ host: LOOPBACK, port: 0, exclusive: true });
  server.unref();
  await promise;
  const bound = server.address();
  return { host: LOOPBACK, port: typeof bound === 'object' && bound !== null ? bound.port : 0 };
}

/** Bars of the eight full colours. */
function testPicture(): Picture {
  const [width, height] = [160, 120];
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0; at < width * height; at += 1) {
    const bar = 7 - Math.floor(((at % width) * 8) / width);
    rgb.set([bar & 2 ? 255 : 0, bar & 4 ? 255 : 0, bar & 1 ? 255 : 0], 3 * at);
  }
  return { width, height, rgb };
}
