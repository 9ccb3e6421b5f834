import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type IpmiClient, openSol, type SolStream } from '../src/index.ts';
import { decodeSol, encodeSol, type SolPacket } from '../src/sol/sol-packet.ts';
import { SolReceiver } from '../src/sol/sol-receiver.ts';
import { type BmcPeer, standardAnswer, startBmcPeer } from './bmc-peer.ts';

let peer: BmcPeer;
let client: IpmiClient;
let typed: string;
/** What the console sent, in its order. */
let packets: SolPacket[];
let onPacket: (packet: SolPacket) => void;

const ack = (acked: number, accepted: number, flags = 0) =>
  peer.sendSol(encodeSol({ sequence: 0, acked, accepted, flags, data: Buffer.alloc(0) }));
const say = (sequence: number, text: string, flags = 0) =>
  peer.sendSol(encodeSol({ sequence, acked: 0, accepted: 0, flags, data: Buffer.from(text) }));
const takeAll = (packet: SolPacket): void => {
  if (packet.sequence === 0) return;
  typed += packet.data.toString();
  ack(packet.sequence, packet.data.length);
};

beforeEach(async () => {
  typed = '';
  packets = [];
  onPacket = takeAll;
  peer = await startBmcPeer({
    sol: (payload) => {
      const packet = decodeSol(payload);
      if (packet === undefined) return;
      packets.push(packet);
      onPacket(packet);
    },
  });
  client = peer.client();
});

afterEach(async () => {
  await client.close();
  await peer.stop();
});

const write = (sol: SolStream, text: string): Promise<void> =>
  new Promise((resolve, reject) => sol.write(text, (error) => (error ? reject(error) : resolve())));

/** The next acknowledgement of that packet. */
function acked(sequence: number): Promise<SolPacket> {
  const { promise, resolve } = Promise.withResolvers<SolPacket>();
  const before = onPacket;
  onPacket = (packet) => {
    before(packet);
    if (packet.acked === sequence) resolve(packet);
  };
  return promise;
}

const deactivations = (): number =>
  peer.commands.filter(({ netFn, command }) => netFn === 6 && command === 0x49).length;

describe('writing', () => {
  it('cuts to what the BMC takes, one packet at a time, numbered 1 to 15', async () => {
    const sol = await openSol(client);
    const text = 'abcdefghijklmnopqrstuvwxyz'.repeat(12);
    await write(sol, text);
    expect(typed).toBe(text);
    expect(Math.max(...packets.map(({ data }) => data.length))).toBe(16);
    expect(packets.slice(0, 17).map(({ sequence }) => sequence)).toEqual([
      ...Array.from({ length: 15 }, (_, at) => at + 1),
      1,
      2,
    ]);
  });

  it('repeats with the same number until it is acknowledged', async () => {
    const sol = await openSol(client, { retryMs: 20 });
    let seen = 0;
    onPacket = (packet) => {
      seen += 1;
      if (seen > 2) takeAll(packet);
    };
    await write(sol, 'hello');
    expect(typed).toBe('hello');
    expect(new Set(packets.map(({ sequence }) => sequence))).toEqual(new Set([1]));
    expect(packets.length).toBeGreaterThanOrEqual(3);
  });

  it('sends the rest of what was accepted in part, and waits when nothing was', async () => {
    const sol = await openSol(client, { retryMs: 400 });
    const answers = [
      (packet: SolPacket) => {
        typed += packet.data.subarray(0, 3).toString();
        ack(packet.sequence, 3, 0x40);
      },
      (packet: SolPacket) => ack(packet.sequence, 0, 0x60),
      takeAll,
    ];
    onPacket = (packet) => answers.shift()?.(packet);
    await write(sol, 'partial');
    expect(typed).toBe('partial');
    expect(packets.map(({ sequence, data }) => [sequence, data.toString()])).toEqual([
      [1, 'partial'],
      [2, 'tial'],
      [3, 'tial'],
    ]);
  });

  it('heeds no acknowledgement of another packet', async () => {
    const sol = await openSol(client, { retryMs: 20 });
    let first = true;
    onPacket = (packet) => {
      if (first) ack(9, 5);
      else takeAll(packet);
      first = false;
    };
    await write(sol, 'hello');
    expect(typed).toBe('hello');
    expect(packets.length).toBeGreaterThanOrEqual(2);
  });

  it('fails when the BMC no longer acknowledges', async () => {
    const sol = await openSol(client, { retryMs: 5, retries: 3 });
    onPacket = () => {};
    const failed = once(sol, 'error');
    sol.write('anybody?');
    expect(await failed).toMatchObject([{ code: 'sol-no-ack' }]);
    expect(packets.length).toBe(4);
  });

  it('sends a break', async () => {
    const sol = await openSol(client);
    await sol.sendBreak();
    expect(packets.map(({ flags, data }) => [flags, data.length])).toEqual([[0x10, 0]]);
    sol.destroy();
    await once(sol, 'close');
    await expect(sol.sendBreak()).rejects.toMatchObject({ code: 'sol-deactivated' });
  });
});

describe('reading', () => {
  it('acknowledges each packet, and delivers each character once', async () => {
    const sol = await openSol(client);
    let read = '';
    sol.on('data', (data: Buffer) => {
      read += data.toString();
    });
    const done = acked(3);
    say(1, 'one ');
    say(1, 'one ');
    say(2, 'tw');
    // A repeat may hold more than the first sending did.
    say(2, 'two ');
    say(1, 'one ');
    say(3, 'three');
    expect(await done).toMatchObject({ accepted: 5, flags: 0, sequence: 0 });
    expect(read).toBe('one two three');
    expect(packets.filter((packet) => packet.acked === 2).map(({ accepted }) => accepted)).toEqual([2, 4]);
  });

  it('makes the BMC wait while nobody reads', async () => {
    const sol = await openSol(client);
    const line = 'x'.repeat(250);
    let sequence = 0;
    let taken = 0;
    // Says the next packet when the last one was acknowledged, and stops at the first refusal.
    const refused = new Promise<void>((resolve) => {
      onPacket = (packet) => {
        if ((packet.flags & 0x40) !== 0) return resolve();
        taken += packet.accepted;
        sequence = (sequence % 15) + 1;
        return say(sequence, line);
      };
    });
    sequence = 1;
    say(sequence, line);
    await refused;
    expect(taken).toBeGreaterThan(1000);
    expect(taken).toBeLessThan(256 * 1024);
    onPacket = () => {};
    const released = acked(sequence);
    let read = 0;
    sol.on('data', (data: Buffer) => {
      read += data.length;
    });
    expect(await released).toMatchObject({ accepted: 250, flags: 0 });
    expect(read).toBe(taken + 250);
  });

  it('tells of breaks, overruns, and of the end', async () => {
    const sol = await openSol(client);
    const told = Promise.all([once(sol, 'break'), once(sol, 'overrun')]);
    const failed = once(sol, 'error');
    say(0, '', 0x04 | 0x08);
    await told;
    say(0, '', 0x10);
    expect(await failed).toMatchObject([{ code: 'sol-deactivated' }]);
  });

  it('keeps one refused packet, with what a repeat adds', () => {
    const delivered: string[] = [];
    const receiver = new SolReceiver((data) => {
      delivered.push(data.toString());
      return delivered.length > 1;
    });
    const packet = (sequence: number, text: string): SolPacket => ({
      sequence,
      acked: 0,
      accepted: 0,
      flags: 0,
      data: Buffer.from(text),
    });
    expect(receiver.receive(packet(0, ''))).toBeUndefined();
    expect(receiver.receive(packet(15, 'a'))).toEqual({ acked: 15, accepted: 1, flags: 0 });
    expect(receiver.receive(packet(15, 'a'))).toEqual({ acked: 15, accepted: 1, flags: 0 });
    expect(receiver.receive(packet(1, 'b'))).toEqual({ acked: 1, accepted: 0, flags: 0x40 });
    expect(receiver.receive(packet(1, 'bc'))).toEqual({ acked: 1, accepted: 0, flags: 0x40 });
    expect(receiver.resume()).toEqual({ acked: 1, accepted: 2, flags: 0 });
    expect(receiver.resume()).toBeUndefined();
    expect(receiver.receive(packet(1, 'b'))).toEqual({ acked: 1, accepted: 2, flags: 0 });
    expect(receiver.receive(packet(1, 'bc'))).toEqual({ acked: 1, accepted: 2, flags: 0 });
    expect(delivered).toEqual(['a', 'bc']);
  });
});

describe('opening and closing', () => {
  it('end() sends what is queued, then deactivates, then closes', async () => {
    const sol = await openSol(client);
    sol.write('last ');
    sol.end('words');
    await once(sol, 'close');
    expect(typed).toBe('last words');
    expect(deactivations()).toBe(1);
  });

  it('one at a time in a session', async () => {
    const sol = await openSol(client);
    await expect(openSol(client)).rejects.toMatchObject({ code: 'sol-active' });
    sol.destroy();
    await once(sol, 'close');
    const again = await openSol(client);
    await write(again, 'x');
    expect(typed).toBe('x');
  });

  it('takes over only when told to', async () => {
    let taken = true;
    peer.state.handle = (command) => {
      if (command.command === 0x49) taken = false;
      return command.command === 0x48 && taken ? { code: 0x80 } : standardAnswer(command);
    };
    await expect(openSol(client)).rejects.toMatchObject({ code: 'payload-active-elsewhere', completionCode: 0x80 });
    const sol = await openSol(client, { takeOver: true });
    await write(sol, 'mine');
    expect(typed).toBe('mine');
  });

  it('what comes with the activation is not lost', async () => {
    peer.state.handle = (command) => {
      if (command.command === 0x48) say(1, 'early');
      return standardAnswer(command);
    };
    const sol = await openSol(client);
    expect(await once(sol, 'data')).toEqual([Buffer.from('early')]);
  });

  it('keeps a session alive by commands, however busy the console is', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    peer.state.handle = (command) => {
      if (command.netFn === 6 && command.command === 1) resolve();
      return standardAnswer(command);
    };
    const busy = peer.client({ keepAliveMs: 200 });
    const sol = await openSol(busy);
    sol.resume();
    let sequence = 1;
    say(sequence, 'x');
    onPacket = (packet) => {
      if (packet.acked !== sequence) return;
      sequence = (sequence % 15) + 1;
      setTimeout(() => say(sequence, 'x'), 5);
    };
    await promise;
    await busy.close();
  });

  it('ends with the session', async () => {
    const sol = await openSol(client, { retryMs: 100_000 });
    const failed = once(sol, 'error');
    peer.forget();
    await client.request({ netFn: 6, command: 1 });
    expect(await failed).toMatchObject([{ code: 'session-lost' }]);
    const again = await openSol(client);
    const closed = once(again, 'close');
    await client.close();
    await closed;
    expect(again.errored).toBeNull();
  });
});
