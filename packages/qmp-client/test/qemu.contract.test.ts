import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { connectQmp, type QmpClient, type QmpOptions } from '../src/client.ts';
import { pciFunctions } from '../src/commands.ts';
import { deviceDel, deviceExists } from '../src/device-del.ts';
import {
  ClosedError,
  CommandNotFoundError,
  ConnectionLostError,
  DeviceNotFoundError,
  GenericError,
  OobUnavailableError,
  QmpTimeoutError,
  UnplugPendingError,
} from '../src/errors.ts';
import { havePeer, type Peer, startQemu } from './peers.ts';

let peer: Peer | undefined;
const clients: QmpClient[] = [];
afterEach(async () => {
  for (const each of clients.splice(0)) each.close();
  await peer?.stop();
  peer = undefined;
});

async function client(monitor: 0 | 1 = 0, options?: QmpOptions): Promise<QmpClient> {
  const made = await connectQmp({ path: peer?.monitors[monitor] ?? '' }, options);
  clients.push(made);
  return made;
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.skipIf(!havePeer('qemu-system-x86_64'))('QEMU without a machine', () => {
  it('greets, negotiates and answers', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    expect(qmp.greeting.version.major).toBeGreaterThanOrEqual(5);
    expect(qmp.greeting.capabilities).toContain('oob');
    expect(qmp.oob).toBe(true);
    const { qemu } = await qmp.execute('query-version');
    expect(qmp.greeting.version).toMatchObject(qemu);
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'running', running: true });
    expect((await qmp.execute('query-commands')).map((each) => each.name)).toContain('device_add');
  });

  it('answers far more commands than it takes at a time, in order', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    const done: number[] = [];
    const calls = Array.from({ length: 200 }, async (_each, n) => {
      await qmp.execute('query-name');
      done.push(n);
    });
    await Promise.all(calls);
    expect(done).toEqual(Array.from({ length: 200 }, (_each, n) => n));
  });

  it('tells its errors by class', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    const unknown = await failure(qmp.executeAny('nosuch'));
    expect(unknown).toBeInstanceOf(CommandNotFoundError);
    expect(unknown).toMatchObject({ code: 'command-not-found', errorClass: 'CommandNotFound', command: 'nosuch' });
    expect(await failure(qmp.execute('device_del', { id: 'zz' }))).toBeInstanceOf(DeviceNotFoundError);
    expect(await failure(qmp.execute('object-del', { id: 'zz' }))).toBeInstanceOf(GenericError);
    expect(await qmp.execute('query-name')).toEqual({});
  });

  it('runs out of band what it allows to', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    // migrate-pause is allowed out of band, and refused for want of a migration
    expect(await failure(qmp.executeOob('migrate-pause'))).toBeInstanceOf(GenericError);
    expect(await failure(qmp.executeOob('query-status'))).toBeInstanceOf(GenericError);
    const without = await client(1, { oob: false });
    expect(without.oob).toBe(false);
    expect(await failure(without.executeOob('migrate-pause'))).toBeInstanceOf(OobUnavailableError);
    expect(await without.execute('query-name')).toEqual({});
  });

  it('serves a client a monitor, and lets another wait for its greeting', async () => {
    peer = await startQemu('none');
    const first = await client(0);
    const other = await client(1);
    expect(await Promise.all([first.execute('query-name'), other.execute('query-name')])).toEqual([{}, {}]);
    const waiting = await failure(connectQmp({ path: peer.monitors[0] }, { connectTimeoutMs: 100 }));
    expect(waiting).toBeInstanceOf(QmpTimeoutError);
    first.close();
    expect(await first.closed).toEqual({ by: 'owner' });
    const next = await client(0);
    expect(await next.execute('query-name')).toEqual({});
  });

  it('tells that it quits, and the session is over', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    const events = qmp.events();
    const shutdown = qmp.waitForEvent('SHUTDOWN', { match: ({ reason }) => reason === 'host-qmp-quit' });
    await qmp.execute('quit');
    const { timestampMs, data } = await shutdown;
    expect(data).toEqual({ guest: false, reason: 'host-qmp-quit' });
    expect(timestampMs).toBeGreaterThan(1.7e12);
    expect((await qmp.closed).by).toBe('peer');
    expect((await events.next()).value).toMatchObject({ event: 'SHUTDOWN', lost: 0 });
    expect(await failure(events.next())).toBeInstanceOf(ConnectionLostError);
    expect(await events.next()).toEqual({ done: true, value: undefined });
    expect(await failure(qmp.execute('query-name'))).toBeInstanceOf(ConnectionLostError);
  });

  it('that is killed loses what is under way, and a new client finds its successor', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    process.kill(peer.pid, 'SIGSTOP');
    const call = failure(qmp.execute('query-status'));
    const event = failure(qmp.waitForEvent('RESET'));
    process.kill(peer.pid, 'SIGKILL');
    expect(await call).toBeInstanceOf(ConnectionLostError);
    expect(await event).toBeInstanceOf(ConnectionLostError);
    expect(await qmp.closed).toMatchObject({ by: 'peer' });
    await peer.ended;
    const successor = await startQemu('none', peer.dir);
    try {
      const again = await client();
      expect(await again.execute('query-status')).toMatchObject({ running: true });
    } finally {
      await successor.stop();
    }
  });

  it('that hangs runs into the deadline, and its late answer is dropped', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    process.kill(peer.pid, 'SIGSTOP');
    expect(await failure(qmp.execute('query-status', undefined, { timeoutMs: 20 }))).toBeInstanceOf(QmpTimeoutError);
    const abort = new AbortController();
    const aborted = failure(qmp.execute('query-status', undefined, { signal: abort.signal }));
    abort.abort(new Error('enough'));
    expect(await aborted).toMatchObject({ message: 'enough' });
    process.kill(peer.pid, 'SIGCONT');
    expect(await qmp.execute('query-name')).toEqual({});
    qmp.close();
    expect(await failure(qmp.execute('query-name'))).toBeInstanceOf(ClosedError);
  });

  it('shows no secret in an error', async () => {
    peer = await startQemu('none');
    const qmp = await client();
    // QEMU repeats a password file that it can't open
    const call = qmp.execute('object-add', { 'qom-type': 'secret', id: 's', secretfile: '/nonexistent/hunter2' });
    const error = await failure(call);
    expect(error).toBeInstanceOf(GenericError);
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain('hunter2');
  });
});

describe.skipIf(!havePeer('qemu-system-x86_64'))('a QEMU that stands still', () => {
  const device = { driver: 'virtio-net-pci', id: 'pf0', bus: 'rp1', netdev: 'nd0' };

  async function plugged(): Promise<QmpClient> {
    peer = await startQemu('q35');
    const qmp = await client();
    await qmp.execute('netdev_add', { type: 'user', id: 'nd0' });
    await qmp.execute('device_add', device);
    return qmp;
  }

  it('has the device that was plugged', async () => {
    const qmp = await plugged();
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'prelaunch', running: false });
    expect(await deviceExists(qmp, 'pf0')).toBe(true);
    expect(await deviceExists(qmp, 'pf1')).toBe(false);
    expect(await deviceExists(qmp, 'type')).toBe(false);
    expect(await failure(qmp.execute('device_add', device))).toBeInstanceOf(GenericError);
  });

  it('lists the function when the firmware has numbered the buses', async () => {
    const qmp = await plugged();
    await qmp.execute('cont');
    const find = async () => pciFunctions(await qmp.execute('query-pci')).find((each) => each.qdev_id === 'pf0');
    let pf0 = await find();
    while (pf0 === undefined || pf0.bus === 0) {
      await pause(20);
      pf0 = await find();
    }
    expect(pf0).toMatchObject({ slot: 0, function: 0, id: { vendor: 0x1af4 } });
  });

  it('keeps an unplug pending past its deadline, and does it at the reset', async () => {
    const qmp = await plugged();
    const error = await failure(deviceDel(qmp, 'pf0', { timeoutMs: 100 }));
    expect(error).toBeInstanceOf(UnplugPendingError);
    expect(error).toMatchObject({ code: 'unplug-pending', device: 'pf0' });
    expect(await deviceExists(qmp, 'pf0')).toBe(true);
    expect(await failure(deviceDel(qmp, 'pf0'))).toBeInstanceOf(GenericError);
    const joined = deviceDel(qmp, 'pf0', { joinPending: true });
    await qmp.execute('system_reset');
    await joined;
    expect(await deviceExists(qmp, 'pf0')).toBe(false);
    await qmp.execute('netdev_del', { id: 'nd0' });
    expect(await failure(deviceDel(qmp, 'pf0'))).toBeInstanceOf(DeviceNotFoundError);
  });

  it('unplugs one device of two, and the other one stays pending', async () => {
    const qmp = await plugged();
    await qmp.execute('device_add', { driver: 'virtio-rng-pci', id: 'rng', bus: 'rp2' });
    const gone = deviceDel(qmp, 'rng');
    await qmp.execute('system_reset');
    await gone;
    expect(await failure(deviceDel(qmp, 'pf0', { timeoutMs: 50 }))).toBeInstanceOf(UnplugPendingError);
  });

  it('stops the wait for an unplug by its signal', async () => {
    const qmp = await plugged();
    const abort = new AbortController();
    const call = failure(deviceDel(qmp, 'pf0', { signal: abort.signal }));
    abort.abort(new Error('enough'));
    expect(await call).toMatchObject({ message: 'enough' });
  });

  it('tells events to every reader, in order', async () => {
    const qmp = await plugged();
    using all = qmp.events();
    using resets = qmp.events({ names: ['RESET'] });
    await qmp.execute('cont');
    await qmp.execute('stop');
    await qmp.execute('system_reset');
    const seen: string[] = [];
    for await (const { event } of all) {
      seen.push(event);
      if (event === 'RESET') break;
    }
    expect(seen.filter((each) => ['RESUME', 'STOP', 'RESET'].includes(each))).toEqual(['RESUME', 'STOP', 'RESET']);
    expect((await resets.next()).value).toMatchObject({ event: 'RESET' });
  });
});
