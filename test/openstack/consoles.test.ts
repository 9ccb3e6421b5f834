/** The screens of servers through nova-novncproxy, and consoles that no node has. */
import { beforeAll, describe, expect, it } from 'vitest';
import { openScreen, type RfbWire } from '../support/rfb-client.ts';
import { until } from '../support/wait.ts';
import { expectNothingLeft } from './support/leaks.ts';
import { liveServers } from './support/live.ts';
import { type NodeName, PEER } from './support/nodes.ts';

/** What comes and goes over a WebSocket, as noVNC has it. */
async function overWebSocket(url: string): Promise<RfbWire & { readonly socket: WebSocket }> {
  const socket = new WebSocket(url, ['binary']);
  socket.binaryType = 'arraybuffer';
  const held: Uint8Array[] = [];
  let closed = false;
  let wake = (): void => {};
  socket.addEventListener('message', ({ data }) => {
    held.push(new Uint8Array(data as ArrayBuffer));
    wake();
  });
  socket.addEventListener('close', () => {
    closed = true;
    wake();
  });
  return {
    socket,
    send: (bytes) => socket.send(bytes),
    async next() {
      while (held.length === 0 && !closed) await new Promise<void>((resolve) => (wake = resolve));
      return held.shift() ?? null;
    },
  };
}

describe.skipIf(PEER !== 'ours')('consoles', () => {
  const { cloud, servers } = liveServers({ clean: 'all' });
  const ids: Partial<Record<NodeName, string>> = {};

  beforeAll(async () => {
    for (const name of ['bm', 'vm'] as const) ids[name] = await servers.create(name, { networks: 'none' });
    await Promise.all(Object.values(ids).map((id) => servers.until(id, 'ACTIVE')));
  });

  const ask = async (name: NodeName, protocol: string, type: string): Promise<string> => {
    const body = { remote_console: { protocol, type } };
    const path = `/servers/${ids[name]}/remote-consoles`;
    const { remote_console: console } = await cloud.admin.call<{ remote_console: { url: string } }>(
      'compute',
      'POST',
      path,
      { body },
    );
    return console.url;
  };

  /** The address of the proxy's WebSocket, as noVNC's page makes it of its own. */
  function socketOf(page: string): URL {
    const url = new URL(page);
    const target = new URL(url.searchParams.get('path') ?? '', url);
    target.protocol = 'ws:';
    return target;
  }

  it('show a VM’s screen through nova’s proxy, and one client at a time', async () => {
    const url = socketOf(await ask('vm', 'vnc', 'novnc'));
    const token = url.searchParams.get('token') ?? '';
    const { console: where } = await cloud.admin.call<{ console: Readonly<Record<string, unknown>> }>(
      'compute',
      'GET',
      `/os-console-auth-tokens/${token}`,
    );
    expect(where).toMatchObject({ instance_uuid: ids.vm, host: '127.0.0.1', internal_access_path: null });
    const wire = await overWebSocket(url.href);
    const screen = await openScreen(wire);
    expect(screen.name).not.toBe('');
    const picture = await screen.picture();
    expect(picture.length).toBe(4 * screen.width * screen.height);
    expect(new Set(picture).size).toBeGreaterThan(1);

    const second = await overWebSocket(url.href);
    await expect(openScreen(second)).rejects.toThrow('the screen ended');
    const ended = new Promise((resolve) => wire.socket.addEventListener('close', resolve));
    await servers.act(ids.vm ?? '', { 'os-stop': null });
    await servers.until(ids.vm ?? '', 'SHUTOFF');
    await ended;
    await expect(ask('vm', 'vnc', 'novnc')).rejects.toMatchObject({ status: 409 });
    await servers.act(ids.vm ?? '', { 'os-start': null });
    await servers.until(ids.vm ?? '', 'ACTIVE');
    // each console has a token and a port of its own
    const again = await overWebSocket(socketOf(await ask('vm', 'vnc', 'novnc')).href);
    expect((await openScreen(again)).width).toBe(screen.width);
    again.socket.close();
  });

  it('are refused to whoever has no token', async () => {
    const url = socketOf(await ask('vm', 'vnc', 'novnc'));
    url.searchParams.set('token', '00000000-0000-4000-8000-000000000000');
    const wire = await overWebSocket(url.href);
    await expect(openScreen(wire)).rejects.toThrow('the screen ended');
  });

  it.each([
    ['bm', 'vnc', 'novnc', 'Unavailable console type novnc'],
    ['bm', 'spice', 'spice-html5', 'Unavailable console type spice-html5'],
    ['vm', 'spice', 'spice-html5', 'Unavailable console type spice-html5'],
    ['vm', 'rdp', 'rdp-html5', 'Unavailable console type rdp-html5'],
    ['vm', 'mks', 'webmks', 'Unavailable console type webmks'],
  ] as const)('that %s has not are refused: %s, %s', async (name, protocol, type, text) => {
    await expect(ask(name, protocol, type)).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining(text),
    });
  });

  it('close their ports when their server goes', async () => {
    await ask('vm', 'vnc', 'novnc');
    await ask('bm', 'serial', 'serial');
    await servers.removeAll();
    await until('nothing listens', async () => {
      await expectNothingLeft(cloud);
      return true;
    });
  });
});
