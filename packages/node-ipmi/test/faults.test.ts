import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freeUdpPort } from '../../../tools/free-port.ts';
import { chassisControl, getChassisStatus, getDeviceId, type IpmiClient } from '../src/index.ts';
import { type BmcPeer, type PeerOutput, standardAnswer, startBmcPeer } from './bmc-peer.ts';

let peer: BmcPeer;
let client: IpmiClient;

beforeEach(async () => {
  peer = await startBmcPeer();
  client = peer.client();
});

afterEach(async () => {
  await client.close();
  await peer.stop();
});

const isStatus = ({ command }: PeerOutput): boolean => command?.netFn === 0 && command.command === 1;
const count = (netFn: number, command: number): number =>
  peer.commands.filter((each) => each.netFn === netFn && each.command === command).length;

/** Drops the next `times` answers of that kind. */
function drop(times: number, which: (output: PeerOutput) => boolean): void {
  let left = times;
  peer.state.wire = (datagram, output) => {
    if (left === 0 || !which(output)) return [datagram];
    left -= 1;
    return [];
  };
}

describe('losses', () => {
  it('a request is repeated with the same sequence number', async () => {
    await client.open();
    drop(2, isStatus);
    expect((await getChassisStatus(client)).powerOn).toBe(true);
    const sequences = peer.commands.filter(({ netFn }) => netFn === 0).map(({ sequence }) => sequence);
    expect(sequences.length).toBeGreaterThanOrEqual(3);
    expect(new Set(sequences).size).toBe(1);
  });

  it.each([
    ['capabilities', 'plain', 0],
    ['open session', 'setup', 0x11],
    ['RAKP 2', 'setup', 0x13],
    ['RAKP 4', 'setup', 0x15],
  ])('a session opens though an answer is lost: %s', async (_name, kind, type) => {
    drop(1, (output) => output.kind === kind && output.type === type);
    await client.open();
    expect((await getDeviceId(client)).productId).toBe(0x0403);
  });

  it('a power cycle is never sent twice', async () => {
    await client.open();
    drop(1, ({ command }) => command?.command === 2);
    await expect(chassisControl(client, 'cycle')).rejects.toMatchObject({ code: 'timeout' });
    expect(count(0, 2)).toBe(1);
    drop(1, ({ command }) => command?.command === 2);
    await chassisControl(client, 'on');
    const actions = peer.commands
      .filter(({ netFn, command }) => netFn === 0 && command === 2)
      .map(({ data }) => data[0]);
    expect(actions.filter((action) => action === 2)).toHaveLength(1);
    expect(actions.filter((action) => action === 1).length).toBeGreaterThanOrEqual(2);
  });

  it('one command that is never answered does not cost the session', async () => {
    const lost: unknown[] = [];
    peer.state.handle = (command) => (command.netFn === 0x30 ? { code: 0 } : standardAnswer(command));
    peer.state.wire = (datagram, { command }) => (command?.netFn === 0x30 ? [] : [datagram]);
    const busy = peer.client({ maxInFlight: 2, retries: 1 });
    busy.on('lost', (event) => lost.push(event));
    try {
      await busy.open();
      const oem = busy.request({ netFn: 0x30, command: 1 });
      const refused = expect(oem).rejects.toMatchObject({ code: 'timeout' });
      let alive = true;
      const polling = (async () => {
        while (alive) await getChassisStatus(busy);
      })();
      await refused;
      alive = false;
      await polling;
      expect(lost).toEqual([]);
    } finally {
      await busy.close();
    }
  });
});

describe('late and double answers', () => {
  it('each answer twice is each answer once', async () => {
    peer.state.wire = (datagram) => [datagram, datagram];
    await using patient = peer.client({ retryMs: 10_000 });
    for (let round = 0; round < 200; round += 1) expect((await getChassisStatus(patient)).powerOn).toBe(true);
    expect(count(0, 1)).toBe(200);
  });

  it('an answer that comes long after its repeat was answered is not taken for another', async () => {
    await client.open();
    drop(1, isStatus);
    expect((await getChassisStatus(client)).powerOn).toBe(true);
    const first = peer.commands.findLast(({ netFn }) => netFn === 0);
    if (first === undefined) throw new Error('no command');
    // "On" comes again and again, in fresh packets, before each "off" of more requests than there are sequence numbers.
    peer.state.handle = (command) => {
      if (command.netFn !== 0) return standardAnswer(command);
      peer.answer(first, { data: [1, 0, 0] });
      return { data: [0, 0, 0] };
    };
    for (let round = 0; round < 130; round += 1) expect((await getChassisStatus(client)).powerOn).toBe(false);
  });

  it('a packet that comes again after its sequence number was reused is dropped', async () => {
    await client.open();
    const kept: Buffer[] = [];
    peer.state.wire = (datagram, output) => {
      if (isStatus(output)) kept.push(Buffer.from(datagram));
      return [datagram];
    };
    expect((await getChassisStatus(client)).powerOn).toBe(true);
    peer.state.handle = (command) => (command.netFn === 0 ? { data: [0, 0, 0] } : standardAnswer(command));
    peer.state.wire = (datagram) => [...kept.slice(0, 1), datagram];
    for (let round = 0; round < 130; round += 1) expect((await getChassisStatus(client)).powerOn).toBe(false);
  });

  it('an answer with the right number to another command is dropped', async () => {
    await client.open();
    peer.state.handle = (command) => {
      if (command.netFn !== 0) return standardAnswer(command);
      peer.answer({ ...command, command: 9 }, { data: [1, 0, 0] });
      peer.answer({ ...command, netFn: 4 }, { data: [1, 0, 0] });
      return { data: [0, 0, 0] };
    };
    expect((await getChassisStatus(client)).powerOn).toBe(false);
  });

  it('a RAKP 2 of before the repeat is not mixed with that of after', async () => {
    const kept: Buffer[] = [];
    peer.state.wire = (datagram, { type }) => {
      if (type !== 0x13) return [datagram];
      kept.push(datagram);
      return kept.length < 2 ? [] : kept;
    };
    await client.open();
    expect(kept).toHaveLength(2);
  });

  it('an answer that is later than the repeats still counts, once', async () => {
    await client.open();
    const kept: Buffer[] = [];
    peer.state.wire = (datagram, output) => {
      if (!isStatus(output)) return [datagram];
      kept.push(datagram);
      // The third sending brings out all three answers.
      return kept.length < 3 ? [] : kept.splice(0);
    };
    expect((await getChassisStatus(client)).powerOn).toBe(true);
    peer.state.wire = (datagram) => [datagram];
    expect((await getDeviceId(client)).deviceId).toBe(0x20);
  });

  it('pipelined requests get their own answers, in any order', async () => {
    const pipelined = peer.client({ maxInFlight: 8 });
    try {
      await pipelined.open();
      peer.state.handle = ({ netFn, data, ...rest }) =>
        netFn === 0x2e ? { data: [...data] } : standardAnswer({ netFn, data, ...rest });
      const held: Buffer[] = [];
      peer.state.wire = (datagram, { command }) => {
        if (command?.netFn !== 0x2e) return [datagram];
        held.push(datagram);
        return held.length < 4 ? [] : held.splice(0).reverse();
      };
      const numbers = Array.from({ length: 64 }, (_, at) => at);
      const answers = await Promise.all(numbers.map((n) => pipelined.request({ netFn: 0x2e, command: 9, data: [n] })));
      expect(answers.map((answer) => answer[0])).toEqual(numbers);
    } finally {
      await pipelined.close();
    }
  });
});

describe('session', () => {
  it('is opened once for many calls, and closed at the BMC', async () => {
    const patient = peer.client({ retryMs: 10_000 });
    await Promise.all([getDeviceId(patient), getChassisStatus(patient), patient.open(), getDeviceId(patient)]);
    expect(count(6, 0x3b)).toBe(1);
    await patient.close();
    await patient.close();
    expect(count(6, 0x3c)).toBe(1);
    await expect(getDeviceId(patient)).rejects.toMatchObject({ code: 'closed' });
  });

  it('is opened anew when the BMC has forgotten it, and the call that found out succeeds', async () => {
    await client.open();
    const events: string[] = [];
    client.on('lost', ({ error }) => events.push(error.code));
    client.on('open', ({ reconnected }) => events.push(`open ${reconnected}`));
    peer.forget();
    expect((await getChassisStatus(client)).powerOn).toBe(true);
    expect(events).toEqual(['session-lost', 'open true']);
  });

  it('that is lost under a power cycle says so, and sends no second one', async () => {
    await client.open();
    peer.forget();
    const failed = chassisControl(client, 'cycle');
    await expect(failed).rejects.toMatchObject({ code: expect.stringMatching(/^(timeout|session-lost)$/) });
    await getChassisStatus(client);
    expect(count(0, 2)).toBe(0);
  });

  it('that is lost while a power cycle waits its turn: the cycle is sent, once, in the next', async () => {
    await client.open();
    peer.forget();
    await Promise.all([getChassisStatus(client), chassisControl(client, 'cycle')]);
    expect(count(0, 2)).toBe(1);
  });

  it('is kept alive while nobody asks anything', async () => {
    const idle = peer.client({ keepAliveMs: 20 });
    const { promise, resolve } = Promise.withResolvers<void>();
    peer.state.handle = (command) => {
      if (count(6, 1) >= 3) resolve();
      return standardAnswer(command);
    };
    await idle.open();
    await promise;
    const reopened = new Promise<boolean>((done) => idle.on('open', ({ reconnected }) => done(reconnected)));
    peer.forget();
    expect(await reopened).toBe(true);
    await idle.close();
  });

  it('that can not be had for want of room: no-free-session', async () => {
    peer.state.freeSessions = 0;
    await expect(client.open()).rejects.toMatchObject({ code: 'no-free-session', status: 1 });
    peer.state.freeSessions = 1;
    await client.open();
  });

  it('that the user has no right to: at RAKP 2, and at the privilege level', async () => {
    peer.state.wire = (datagram, { type }) => {
      if (type === 0x13) datagram[17] = 0x0a;
      return [datagram];
    };
    await expect(client.open()).rejects.toMatchObject({ code: 'unauthorized-role', status: 0x0a });
    peer.state.wire = (datagram) => [datagram];
    peer.state.handle = (command) => (command.command === 0x3b ? { code: 0x81 } : standardAnswer(command));
    await expect(client.open()).rejects.toMatchObject({ code: 'privilege-exceeds-limit' });
    // The session that could not be used was closed.
    expect(count(6, 0x3c)).toBe(1);
  });

  it('whose BMC has dropped the repeated RAKP 3 is set up from the start', async () => {
    let stale = 1;
    drop(1, ({ type }) => type === 0x15);
    const once = peer.state.wire;
    peer.state.wire = (datagram, output) => {
      const kept = once(datagram, output);
      if (output.type === 0x15 && kept.length > 0 && stale > 0) {
        stale -= 1;
        datagram[17] = 0x02;
      }
      return kept;
    };
    await client.open();
    expect(stale).toBe(0);
  });

  it('with a BMC that speaks no RMCP+: not-supported', async () => {
    peer.state.wire = (datagram, { kind }) => {
      // Extended capabilities, then the message's checksum.
      if (kind === 'plain') Buffer.of(0x01, 0, 0, 0, 0, (datagram.at(-1) ?? 0) + 1).copy(datagram, datagram.length - 6);
      return [datagram];
    };
    await expect(client.open()).rejects.toMatchObject({ code: 'not-supported' });
  });

  it('with a BMC that is away: unreachable, and silence: timeout', async () => {
    const port = await freeUdpPort();
    const away = peer.client({ port });
    const retried = new Promise<string>((resolve) => away.on('retry', ({ error }) => resolve(error.code)));
    await expect(away.open({ timeoutMs: 200 })).rejects.toMatchObject({ code: 'unreachable' });
    expect(await retried).toBe('unreachable');
    await away.close();
    peer.state.wire = () => [];
    await expect(client.open({ timeoutMs: 150 })).rejects.toMatchObject({ code: 'timeout' });
  });

  it('calls end by their signal, wherever they are', async () => {
    const reason = new Error('enough');
    await expect(client.open({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await client.open();
    peer.state.wire = () => [];
    const stop = new AbortController();
    const running = getChassisStatus(client, { signal: stop.signal });
    const queued = getDeviceId(client, { signal: stop.signal });
    const both = Promise.allSettled([running, queued]);
    stop.abort(reason);
    expect(await both).toEqual([
      { status: 'rejected', reason },
      { status: 'rejected', reason },
    ]);
    peer.state.wire = (datagram) => [datagram];
    expect((await getChassisStatus(client)).powerOn).toBe(true);
  });

  it('bounds the calls that wait', async () => {
    const small = peer.client({ maxWaiting: 2 });
    const two = [getDeviceId(small), getDeviceId(small)];
    await expect(getDeviceId(small)).rejects.toMatchObject({ code: 'too-many-requests' });
    await Promise.all(two);
    await small.close();
  });

  it('close rejects what still waits', async () => {
    await client.open();
    peer.state.wire = () => [];
    const waiting = getChassisStatus(client);
    const refused = expect(waiting).rejects.toMatchObject({ code: 'closed' });
    await client.close();
    await refused;
  });

  it('shows no secret in errors', async () => {
    await using wrong = peer.client({ password: 'not the right one', retries: 0 });
    const error: unknown = await wrong.open().catch((caught: unknown) => caught);
    expect(String(error) + JSON.stringify(error)).not.toContain('not the right one');
  });
});
