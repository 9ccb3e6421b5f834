import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectQmp, type QmpClient, type QmpOptions } from '../src/client.ts';
import { deviceDel } from '../src/device-del.ts';
import {
  CommandError,
  ConnectionLostError,
  EventsLostError,
  LimitError,
  ProtocolError,
  QmpTimeoutError,
  UnplugRefusedError,
} from '../src/errors.ts';
import { LineFramer } from '../src/lines.ts';

type Command = {
  readonly execute?: string;
  readonly 'exec-oob'?: string;
  readonly id: number;
  readonly arguments?: unknown;
};

const greeting = { QMP: { version: { qemu: { micro: 0, minor: 0, major: 9 } }, capabilities: ['oob'] } };

/** The other end of a session, whose answers each test writes. */
class FakePeer {
  readonly client: Duplex;
  readonly commands: Command[] = [];
  negotiated: unknown;
  readonly #server: Duplex;
  readonly #waiting: ((command: Command) => void)[] = [];

  constructor() {
    const [client, server] = duplexPair();
    this.client = client;
    this.#server = server;
    const framer = new LineFramer(1_000_000);
    server.on('error', () => undefined);
    server.on('data', (chunk: Buffer) => {
      for (const line of framer.push(chunk)) this.#onCommand(JSON.parse(line));
    });
  }

  #onCommand(command: Command): void {
    if (command.execute === 'qmp_capabilities') {
      this.negotiated = command.arguments;
      this.send({ return: {}, id: command.id });
    } else {
      this.commands.push(command);
      this.#waiting.shift()?.(command);
    }
  }

  next(): Promise<Command> {
    const { promise, resolve } = Promise.withResolvers<Command>();
    this.#waiting.push(resolve);
    return promise;
  }

  send(...messages: readonly unknown[]): void {
    this.#server.write(
      messages.map((each) => `${typeof each === 'string' ? each : JSON.stringify(each)}\r\n`).join(''),
    );
  }

  event(name: string, data: object = {}): void {
    this.send({ event: name, data, timestamp: { seconds: 1, microseconds: 500_000 } });
  }

  end(text?: string): void {
    this.#server.end(text);
  }
}

let peer: FakePeer;
const clients: QmpClient[] = [];
beforeEach(() => {
  peer = new FakePeer();
});
afterEach(() => {
  for (const each of clients.splice(0)) each.close();
});

async function connect(options: QmpOptions = {}): Promise<QmpClient> {
  peer.send(greeting);
  const client = await connectQmp({ stream: peer.client }, options);
  clients.push(client);
  return client;
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('the beginning', () => {
  it('has a deadline', async () => {
    expect(await failure(connectQmp({ stream: peer.client }, { connectTimeoutMs: 10 }))).toBeInstanceOf(
      QmpTimeoutError,
    );
    expect(peer.client.destroyed).toBe(true);
  });

  it('enables out-of-band execution where it is offered', async () => {
    const qmp = await connect();
    expect(peer.negotiated).toEqual({ enable: ['oob'] });
    const lost = failure(qmp.executeOob('a'));
    qmp.close();
    expect(await lost).toMatchObject({ code: 'closed' });
  });

  it('leaves it where it is not wanted', async () => {
    expect((await connect({ oob: false })).oob).toBe(false);
    expect(peer.negotiated).toBeUndefined();
  });

  it('stops by its signal', async () => {
    const abort = new AbortController();
    const call = failure(connectQmp({ stream: peer.client }, { signal: abort.signal }));
    abort.abort(new Error('enough'));
    expect(await call).toMatchObject({ message: 'enough' });
  });

  it.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.2'],
    ['no greeting', { return: {} }],
    ['a greeting without a version', { QMP: {} }],
  ])('refuses %s', async (_what, first) => {
    peer.send(first);
    expect(await failure(connectQmp({ stream: peer.client }))).toBeInstanceOf(ProtocolError);
  });

  it('fails when the peer goes', async () => {
    peer.end();
    expect(await failure(connectQmp({ stream: peer.client }))).toBeInstanceOf(ConnectionLostError);
  });

  it('fails when nobody listens', async () => {
    expect(await failure(connectQmp({ path: '/nonexistent/qmp.sock' }))).toMatchObject({ code: 'ENOENT' });
  });
});

describe('commands', () => {
  it('are answered by their ids, and answers to others dropped', async () => {
    const qmp = await connect();
    const calls = [qmp.executeAny('a', { x: 1 }), qmp.executeAny('b')];
    peer.send({ return: 'stray', id: 99 }, { return: 'none' }, { error: { class: 'GenericError', desc: 'x' } });
    peer.send({ return: 'B', id: 3 }, { return: 'A', id: 2 }, greeting);
    expect(await Promise.all(calls)).toEqual(['A', 'B']);
    expect(peer.commands).toEqual([
      { execute: 'a', id: 2, arguments: { x: 1 } },
      { execute: 'b', id: 3 },
    ]);
  });

  it('are kept back while QEMU has as many as it takes, but not out-of-band ones', async () => {
    const qmp = await connect({ maxInFlight: 1 });
    const first = failure(qmp.executeAny('slow', {}, { timeoutMs: 10 }));
    const second = qmp.executeAny('next');
    expect(await first).toBeInstanceOf(QmpTimeoutError);
    const oob = peer.next();
    const urgent = qmp.executeOob('urgent');
    // the one that was given up is still QEMU's to answer
    expect((await oob)['exec-oob']).toBe('urgent');
    expect(peer.commands.map((each) => each.execute ?? each['exec-oob'])).toEqual(['slow', 'urgent']);
    const next = peer.next();
    peer.send({ return: 1, id: 2 });
    peer.send({ return: 'u', id: peer.commands[1]?.id });
    peer.send({ return: 'n', id: (await next).id });
    expect(await Promise.all([urgent, second])).toEqual(['u', 'n']);
  });

  it('are refused when too many wait, or when too long', async () => {
    const qmp = await connect({ maxInFlight: 1, maxQueued: 1, maxCommandBytes: 100 });
    const calls = [failure(qmp.executeAny('a')), failure(qmp.executeAny('b'))];
    expect(await failure(qmp.executeAny('c'))).toBeInstanceOf(LimitError);
    qmp.close();
    expect(await Promise.all(calls)).toMatchObject([{ code: 'closed' }, { code: 'closed' }]);
    const other = new FakePeer();
    peer = other;
    const fresh = await connect({ maxCommandBytes: 100 });
    expect(await failure(fresh.executeAny('a', { a: 'x'.repeat(100) }))).toBeInstanceOf(LimitError);
  });

  it('that were given up before they were sent are never sent', async () => {
    const qmp = await connect({ maxInFlight: 1 });
    const sent = peer.next();
    const first = qmp.executeAny('first');
    await sent;
    expect(await failure(qmp.executeAny('never', {}, { timeoutMs: 10 }))).toBeInstanceOf(QmpTimeoutError);
    const last = qmp.executeAny('last');
    const next = peer.next();
    peer.send({ return: 1, id: 2 });
    await first;
    peer.send({ return: 2, id: (await next).id });
    await last;
    expect(peer.commands.map((each) => each.execute)).toEqual(['first', 'last']);
  });

  it('keep their secrets out of errors', async () => {
    const qmp = await connect();
    const call = failure(qmp.execute('object-add', { 'qom-type': 'secret', id: 's', data: 'hunter2' }));
    peer.send({ error: { class: 'GenericError', desc: "bad secret 'hunter2'" }, id: 2 });
    const error = await call;
    expect(error).toMatchObject({ desc: "bad secret '***'" });
    expect(String(error)).not.toContain('hunter2');
  });

  it('keep a class that nobody knows', async () => {
    const qmp = await connect();
    const call = failure(qmp.executeAny('a'));
    peer.send({ error: { class: 'NewClass', desc: 'x' }, id: 2 });
    const error = await call;
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ code: 'other-class', errorClass: 'NewClass' });
  });
});

describe('a session', () => {
  it.each([
    ['garbage', 'garbage'],
    ['what is not QMP', '{"jsonrpc":"2.0"}'],
    ['a message that is too long', 'x'.repeat(3000)],
  ])('ends at %s, and says why', async (_what, bytes) => {
    const qmp = await connect({ maxMessageBytes: 2000 });
    const events = qmp.events();
    const call = failure(qmp.executeAny('a'));
    peer.send(bytes);
    const error = await call;
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect((error as Error).cause).toBeInstanceOf(ProtocolError);
    expect(await qmp.closed).toMatchObject({ by: 'peer', error: { code: 'protocol' } });
    expect(await failure(events.next())).toBeInstanceOf(ConnectionLostError);
    expect(await failure(qmp.events().next())).toBeInstanceOf(ConnectionLostError);
  });

  it('that dies in the middle of an answer loses it', async () => {
    const qmp = await connect();
    const call = failure(qmp.executeAny('a'));
    peer.end('{"return": {}, "i');
    expect(await call).toBeInstanceOf(ConnectionLostError);
    expect(await qmp.closed).toMatchObject({ by: 'peer' });
  });
});

describe('events', () => {
  it('wait up to the limit, then the oldest are dropped and counted', async () => {
    const qmp = await connect();
    const events = qmp.events({ limit: 2 });
    const other = qmp.waitForEvent('E4');
    for (const n of [0, 1, 2, 3, 4]) peer.event(`E${n}`);
    await other;
    expect((await events.next()).value).toEqual({ event: 'E3', data: {}, timestampMs: 1500, lost: 3 });
    expect((await events.next()).value).toMatchObject({ event: 'E4', lost: 0 });
    qmp.close();
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  it('or fail, where that was asked for', async () => {
    const qmp = await connect();
    const events = qmp.events({ limit: 1, overflow: 'fail' });
    const other = qmp.waitForEvent('E1');
    peer.event('E0');
    peer.event('E1');
    await other;
    expect(await failure(events.next())).toBeInstanceOf(EventsLostError);
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  it('are given to readers that wait already, each its own', async () => {
    const qmp = await connect();
    const events = qmp.events({ names: ['A', 'B'] });
    const reads = Promise.all([events.next(), events.next(), events.next()]);
    peer.event('A');
    peer.event('C');
    peer.event('B');
    const closed = qmp.waitForEvent('B');
    await closed;
    qmp.close();
    expect((await reads).map(({ value }) => value?.event)).toEqual(['A', 'B', undefined]);
  });

  it('end the subscription when the loop is left', async () => {
    const qmp = await connect();
    const events = qmp.events();
    const ready = qmp.waitForEvent('Z');
    peer.event('A');
    peer.event('A');
    peer.event('Z');
    await ready;
    for await (const { event } of events) {
      expect(event).toBe('A');
      break;
    }
    const other = qmp.waitForEvent('B');
    peer.event('B');
    await other;
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  it('are waited for until a deadline or a signal', async () => {
    const qmp = await connect();
    expect(await failure(qmp.waitForEvent('A', { timeoutMs: 10 }))).toBeInstanceOf(QmpTimeoutError);
    const abort = new AbortController();
    const call = failure(qmp.waitForEvent('A', { signal: abort.signal }));
    abort.abort(new Error('enough'));
    expect(await call).toMatchObject({ message: 'enough' });
    const matched = qmp.waitForEvent('A', { match: ({ n }) => n === 2 });
    peer.event('A', { n: 1 });
    peer.event('A', { n: 2 });
    expect((await matched).data).toEqual({ n: 2 });
  });
});

describe('deviceDel', () => {
  it('tells that the guest refused, and only of this device', async () => {
    const qmp = await connect();
    const got = peer.next();
    const call = failure(deviceDel(qmp, 'pf0'));
    const { id } = await got;
    peer.event('DEVICE_DELETED', { device: 'pf1', path: '/machine/peripheral/pf1' });
    peer.event('DEVICE_DELETED', { path: '/machine/peripheral/pf0/virtio-backend' });
    peer.event('DEVICE_UNPLUG_GUEST_ERROR', { device: 'pf0', path: '/machine/peripheral/pf0' });
    peer.send({ return: {}, id });
    expect(await call).toBeInstanceOf(UnplugRefusedError);
  });

  it('takes an event that came before the answer', async () => {
    const qmp = await connect();
    const got = peer.next();
    const call = deviceDel(qmp, 'pf0');
    const { id } = await got;
    peer.event('DEVICE_DELETED', { device: 'pf0', path: '/machine/peripheral/pf0' });
    peer.send({ return: {}, id });
    await call;
  });

  it('finds it gone when a refusal has crossed its end', async () => {
    const qmp = await connect();
    const got = peer.next();
    const call = deviceDel(qmp, 'pf0', { joinPending: true });
    const list = peer.next();
    peer.send({ error: { class: 'GenericError', desc: 'any text' }, id: (await got).id });
    peer.send({ return: [{ name: 'type', type: 'string' }], id: (await list).id });
    await call;
  });

  it('is over when the session is', async () => {
    const qmp = await connect();
    const got = peer.next();
    const call = failure(deviceDel(qmp, 'pf0'));
    peer.send({ return: {}, id: (await got).id });
    peer.end();
    expect(await call).toBeInstanceOf(ConnectionLostError);
  });
});
