import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { VncAddress } from '../../core/ports/host-agent.ts';
import type { ConsoleWatcher } from '../../core/ports/host-console.ts';
import { silentLog } from '../../core/ports/log.ts';
import { systemClock } from '../../kit/clock.ts';
import { systemRandom } from '../../kit/random.ts';
import { type ConsoleBackends, createConsoleBackends } from '../../platform-adapter/openstack/console/backends.ts';
import { type ConsoleCallParts, consoleCalls } from '../../platform-adapter/openstack/console/console-calls.ts';
import { machineScreens } from '../../platform-adapter/openstack/console/screens.ts';
import { serialConsoles } from '../../platform-adapter/openstack/console/serial-consoles.ts';
import { createNovaRpc } from '../../platform-adapter/openstack/wire/conductor.ts';
import { adminContext } from '../../platform-adapter/openstack/wire/context.ts';
import { releaseOf } from '../../platform-adapter/openstack/wire/releases.ts';
import { inboundRequest, readRecording } from '../support/nova-recording.ts';
import { nova } from '../support/openstack/flow-scene.ts';
import { until } from '../support/wait.ts';

const uuid = 'bbbbbbbb-0000-4000-8000-000000000001';
const liveMs = 60_000;
const opened: { close(): void }[] = [];

afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});

const when = async (what: string, is: () => boolean): Promise<boolean> => await until(what, async () => is());

/** A console that keeps what is typed, and refuses each second piece of it once. */
function desk() {
  const watchers = new Set<ConsoleWatcher>();
  const typed: Buffer[] = [];
  let busy = false;
  return {
    watchers,
    text: () => Buffer.concat(typed).toString(),
    show: (text: string) => {
      for (const each of watchers) each.show(Buffer.from(text));
    },
    join(instance: string, watcher: ConsoleWatcher) {
      if (instance !== uuid) return null;
      watchers.add(watcher);
      return {
        type(bytes: Uint8Array) {
          busy = !busy;
          if (!busy) return false;
          typed.push(Buffer.from(bytes));
          return true;
        },
        take: () => {},
        leave: () => void watchers.delete(watcher),
      };
    },
  };
}

const where = { address: '127.0.0.1', proxies: ['127.0.0.1'], log: silentLog };

function backends(consoles = desk(), clock = systemClock): ConsoleBackends {
  const made = createConsoleBackends({ ...where, clock }, serialConsoles({ consoles, clock, log: silentLog }));
  opened.push(made);
  return made;
}

/** Ports that show the screen of a machine; it is where `vncAddress` says. */
function screens(vncAddress: () => Promise<VncAddress>) {
  const attend = machineScreens({ screens: { vncAddress }, log: silentLog });
  const made = createConsoleBackends({ ...where, clock: systemClock }, attend);
  opened.push(made);
  return { vncAddress, backends: made };
}

/** A client, and what it got. */
async function client(port: number, localAddress = '127.0.0.1'): Promise<{ socket: Socket; got(): string }> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  opened.push({ close: () => socket.destroy() });
  let got = '';
  socket.on('data', (bytes: Buffer) => {
    got += bytes.toString();
  });
  socket.on('error', () => {});
  await once(socket, 'connect').catch(() => {}); // nobody listens: it is closed then
  return { socket, got: () => got };
}

describe('a port for a serial console', () => {
  it('carries bytes both ways, at the pace of the console', async () => {
    const consoles = desk();
    const ports = backends(consoles);
    const { socket, got } = await client(await ports.open(uuid, liveMs));
    await when('somebody watches', () => consoles.watchers.size === 1);
    consoles.show('login: ');
    await when('it is seen', () => got() === 'login: ');
    const long = 'x'.repeat(5000);
    socket.write(long);
    await when('it is typed', () => consoles.text() === long);
    socket.destroy();
    await when('the seat is free', () => consoles.watchers.size === 0);
  });

  it('lets nova’s proxies in alone, one at a time, and each after the other', async () => {
    const consoles = desk();
    const port = await backends(consoles).open(uuid, liveMs);
    const stranger = await client(port, '127.0.0.2');
    await when('it is sent away', () => stranger.socket.closed);
    expect(consoles.watchers.size).toBe(0);
    const first = await client(port);
    await when('the first watches', () => consoles.watchers.size === 1);
    const second = await client(port);
    await when('the second is sent away', () => second.socket.closed);
    expect(first.socket.closed).toBe(false);
    first.socket.destroy();
    await when('the first is gone', () => consoles.watchers.size === 0);
    await client(port);
    await when('the next watches', () => consoles.watchers.size === 1);
  });

  it('closes when its time is over, and whoever is there stays', async () => {
    let over = (): void => {};
    const clock = {
      ...systemClock,
      timer(ms: number, callback: () => void) {
        expect(ms).toBe(liveMs);
        over = callback;
        return { cancel: () => {} };
      },
    };
    const consoles = desk();
    const ports = backends(consoles, clock);
    const port = await ports.open(uuid, liveMs);
    const { socket, got } = await client(port);
    await when('somebody watches', () => consoles.watchers.size === 1);
    over();
    expect(ports.isOpen(uuid, port)).toBe(false);
    const late = await client(port);
    await when('nobody listens', () => late.socket.closed);
    consoles.show('still');
    await when('it is seen', () => got() === 'still');
    expect(socket.closed).toBe(false);
  });

  it('goes with its instance', async () => {
    const consoles = desk();
    const ports = backends(consoles);
    const port = await ports.open(uuid, liveMs);
    const { socket } = await client(port);
    await when('somebody watches', () => consoles.watchers.size === 1);
    expect(ports.instances()).toEqual([uuid]);
    ports.forget(uuid);
    await when('it is over', () => socket.closed);
    expect(ports.instances()).toEqual([]);
    const stranger = await client(await ports.open('another', liveMs));
    await when('the host is not its', () => stranger.socket.closed);
  });

  it('makes room for one more of the same instance', async () => {
    const ports = backends();
    const all: number[] = [];
    for (let count = 0; count < 9; count += 1) all.push(await ports.open(uuid, liveMs));
    expect(all.map((port) => ports.isOpen(uuid, port))).toEqual([false, ...Array(8).fill(true)]);
  });
});

describe('a port for a screen', () => {
  /** A machine's VNC server that says hello and keeps what it is told. */
  async function vncServer() {
    const clients: Socket[] = [];
    let got = '';
    const server = createServer((socket) => {
      clients.push(socket);
      socket.write('RFB 003.008\n');
      socket.on('data', (bytes: Buffer) => {
        got += bytes.toString();
      });
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push({ close: () => server.close() });
    const { port } = server.address() as AddressInfo;
    return { clients, got: () => got, address: async () => ({ host: '127.0.0.1', port }) };
  }

  it('passes on what the machine’s host says and what nova’s proxy says, and ends with either', async () => {
    const host = await vncServer();
    const { backends: ports } = screens(host.address);
    const port = await ports.open(uuid, liveMs);
    expect(host.clients).toEqual([]);
    const first = await client(port);
    await when('the screen is seen', () => first.got() === 'RFB 003.008\n');
    first.socket.write('RFB 003.008\n');
    await when('the client is heard', () => host.got() === 'RFB 003.008\n');
    first.socket.destroy();
    await when('the host is free again', () => host.clients[0]?.closed === true);
    const second = await client(port);
    await when('the screen is seen again', () => second.got() !== '');
    host.clients[1]?.destroy();
    await when('it is over', () => second.socket.closed);
  });

  it('shows nothing to whoever is no proxy', async () => {
    const host = await vncServer();
    const { backends: ports } = screens(host.address);
    const stranger = await client(await ports.open(uuid, liveMs), '127.0.0.2');
    await when('it is sent away', () => stranger.socket.closed);
    expect(host.clients).toEqual([]);
  });

  it('ends at once where the machine has none any more', async () => {
    const { backends: ports } = screens(() => Promise.reject(new DpuError('bad_state', 'it is off')));
    const { socket } = await client(await ports.open(uuid, liveMs));
    await when('it is over', () => socket.closed);
  });
});

describe('calls for consoles', () => {
  const asked: unknown[] = [];

  function calls(more: Partial<ConsoleCallParts> = {}) {
    asked.length = 0;
    const parts: ConsoleCallParts = {
      nova: createNovaRpc(releaseOf('zed'), () => ({
        async call(_method, args) {
          asked.push(args);
          return [{}, 'token-secret'];
        },
        cast: async () => {},
        close: async () => {},
      })),
      service: {
        getInstance(id) {
          if (id !== uuid) throw new DpuError('not_found', 'instance does not exist');
          return { uuid: id, state: 'active' } as never;
        },
      },
      settings: {
        address: '127.0.0.1',
        proxies: ['127.0.0.1'],
        serialUrl: 'ws://127.0.0.1:6083/',
        vncUrl: 'http://127.0.0.1:6080/vnc_auto.html',
      },
      serial: backends(),
      screens: screens(async () => ({ host: '10.0.0.1', port: 5901 })),
      ...more,
    };
    const all = consoleCalls(parts);
    const call = {
      received: { context: adminContext({ clock: systemClock, random: systemRandom }), credentials: null },
      uniqueId: null,
      signal: new AbortController().signal,
    };
    return async (method: string, args: Readonly<Record<string, unknown>>, id = uuid) => {
      const instance = nova('Instance', { uuid: id, vm_state: 'active' }, '2.7');
      return await all[method]?.({ instance, ...args }, call);
    };
  }

  it('say where the console is as a stock service does', async () => {
    const call = calls();
    for (const [scenario, type, method] of [
      ['console_serial', 'serial', 'get_serial_console'],
      ['console_vnc', 'novnc', 'get_vnc_console'],
    ] as const) {
      const recording = readRecording(scenario);
      const { args } = inboundRequest(recording, method);
      expect(args.console_type).toBe(type);
      const answer = (await call(method, args.console_type ? { console_type: type } : {})) as Record<string, unknown>;
      expect(Object.keys(answer).toSorted()).toEqual(
        ['access_url', 'host', 'internal_access_path', 'port', 'token'].toSorted(),
      );
      expect(await call('validate_console_port', { port: String(answer.port), console_type: type })).toBe(true);
      expect(await call('validate_console_port', { port: '1', console_type: type })).toBe(false);
      expect(String(answer.access_url)).toBe(
        type === 'serial'
          ? 'ws://127.0.0.1:6083/?token=token-secret'
          : 'http://127.0.0.1:6080/vnc_auto.html?path=%3Ftoken%3Dtoken-secret',
      );
    }
    expect(asked).toMatchObject([
      { objmethod: 'authorize', args: [600] },
      { objmethod: 'authorize', args: [600] },
    ]);
  });

  it.each([
    ['get_serial_console', 'webmks', {}, uuid, 'ConsoleTypeInvalid'],
    ['get_serial_console', 'serial', { serial: null }, uuid, 'ConsoleTypeUnavailable'],
    ['get_vnc_console', 'novnc', { screens: null }, uuid, 'ConsoleTypeUnavailable'],
    [
      'get_vnc_console',
      'novnc',
      { screens: screens(() => Promise.reject(new DpuError('unsupported', 'no screen'))) },
      uuid,
      'ConsoleTypeUnavailable',
    ],
    [
      'get_vnc_console',
      'novnc',
      { screens: screens(() => Promise.reject(new DpuError('bad_state', 'it is off'))) },
      uuid,
      'InstanceNotReady',
    ],
    ['get_vnc_console', 'xvpvnc', {}, uuid, 'ConsoleTypeInvalid'],
    ['get_serial_console', 'serial', {}, 'bbbbbbbb-0000-4000-8000-000000000002', 'InstanceNotFound'],
  ] as const)('are refused as nova does: %s of %s', async (method, type, more, id, name) => {
    await expect(calls(more as Partial<ConsoleCallParts>)(method, { console_type: type }, id)).rejects.toMatchObject({
      details: { nova_class: name },
    });
    expect(asked).toEqual([]);
  });
});
