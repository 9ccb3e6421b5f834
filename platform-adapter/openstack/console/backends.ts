import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import { asId, type InstanceId } from '../../../core/units.ts';

/** What back ends are made from, whatever they show. */
export interface BackendParts {
  /** What is listened on. */
  readonly address: string;
  /** Addresses that nova's proxies come from; whoever else comes is sent away. */
  readonly proxies: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Shows a console to a client who may see it, until either ends. The socket's errors are seen to. */
export type Attend = (instance: InstanceId, socket: Socket) => void;

/** TCP ports that show an instance's console, as a hypervisor's would: its bytes and nothing else. */
export interface ConsoleBackends {
  /**
   * Opens a port for one client at a time, that lets clients come for `livesMs`; a client that is there may stay longer.
   * @throws DpuError `exhausted`, `unavailable` (the address can't be listened on).
   */
  open(instance: string, livesMs: number): Promise<number>;
  /** Whether the port is open, and this instance's. */
  isOpen(instance: string, port: number): boolean;
  /** Instances with a port. */
  instances(): readonly string[];
  /** Closes an instance's ports and ends who is there. */
  forget(instance: string): void;
  close(): void;
}

/** Ports that are open at once; the one that was opened first makes room for one more of the same instance. */
const mostPorts = 64;
const mostOfOne = 8;

interface Backend {
  readonly instance: string;
  readonly port: number;
  readonly server: Server;
  client: Socket | null;
  timer: { cancel(): void };
}

/** Makes the back ends; none listens before it is asked for. */
export function createConsoleBackends(parts: BackendParts, attend: Attend): ConsoleBackends {
  const { clock, log } = parts;
  const allowed = new Set(parts.proxies.map(plainAddress));
  const backends = new Set<Backend>();

  function close(backend: Backend): void {
    backend.timer.cancel();
    backend.server.close();
    backends.delete(backend);
  }

  function accept(backend: Backend, socket: Socket): void {
    socket.on('error', () => socket.destroy()); // it is gone already
    const from = plainAddress(socket.remoteAddress ?? '');
    if (!allowed.has(from) || backend.client !== null) {
      if (!allowed.has(from)) log.warn('somebody who is no proxy of nova asked for a console', { from });
      socket.destroy();
      return;
    }
    backend.client = socket;
    socket.on('close', () => {
      backend.client = null;
    });
    attend(asId<InstanceId>(backend.instance), socket);
  }

  async function listen(): Promise<Server> {
    const server = createServer({ allowHalfOpen: false });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('listening', resolve);
    server.once('error', reject);
    server.listen({ host: parts.address, port: 0, exclusive: true });
    try {
      await promise;
    } catch (cause) {
      throw new DpuError('unavailable', 'the address of consoles can not be listened on', {
        field: 'platform.openstack.console.address',
        cause,
      });
    }
    return server;
  }

  return {
    async open(instance, livesMs) {
      const own = [...backends].filter((each) => each.instance === instance);
      const [first] = own.filter(({ client }) => client === null);
      if (own.length >= mostOfOne && first) close(first);
      if (backends.size >= mostPorts) throw new DpuError('exhausted', 'too many consoles are open');
      const server = await listen();
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
      const backend: Backend = { instance, port, server, client: null, timer: { cancel: () => {} } };
      backend.timer = clock.timer(livesMs, () => close(backend));
      server.on('connection', (socket) => accept(backend, socket));
      server.on('error', (error) => log.warn('a port of a console failed', { instance, error }));
      backends.add(backend);
      return port;
    },
    isOpen: (instance, port) => [...backends].some((each) => each.instance === instance && each.port === port),
    instances: () => [...new Set([...backends].map(({ instance }) => instance))],
    forget(instance) {
      for (const each of [...backends].filter((backend) => backend.instance === instance)) {
        close(each);
        each.client?.destroy();
      }
    },
    close() {
      for (const each of [...backends]) {
        close(each);
        each.client?.destroy();
      }
    },
  };
}

/** IPv4 that came through an IPv6 socket as itself (RFC 4291 2.5.5.2). */
function plainAddress(address: string): string {
  const lower = address.toLowerCase();
  return isIPv6(lower) && lower.startsWith('::ffff:') ? lower.slice('::ffff:'.length) : lower;
}
