import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../test/support/seeded-random.ts';
import { cipherSuite } from '../src/cipher-suites.ts';
import { getChassisStatus, IpmiError, parseFru, parseSdr, parseSelEntry } from '../src/index.ts';
import { decodeResponse, encodeRequest } from '../src/message.ts';
import { decodePlain, decodeSetup, encodePlain, encodeSetup, protect, unprotect } from '../src/packet.ts';
import { sessionKeys } from '../src/rakp.ts';
import { decodeAuthCapabilities, decodeOpenedSession, decodeRakp2, decodeSetupAnswer } from '../src/setup-messages.ts';
import { decodeSol } from '../src/sol/sol-packet.ts';
import { startBmcPeer } from './bmc-peer.ts';
import { compactSdr, fullSdr, testFru } from './sdr-images.ts';

const random = seededRandom('node-ipmi');

/** A few bytes changed, cut off, put in or doubled. */
function mutate(bytes: Buffer): Buffer {
  let out = Buffer.from(bytes);
  for (let times = 1 + random.int(4); times > 0; times -= 1) {
    const at = random.int(out.length + 1);
    const kind = random.int(4);
    if (kind === 0 && at < out.length) out[at] = random.int(256);
    if (kind === 1) out = out.subarray(0, at);
    if (kind === 2) out = Buffer.concat([out.subarray(0, at), Buffer.of(random.int(256)), out.subarray(at)]);
    if (kind === 3) out = Buffer.concat([out, out.subarray(at)]).subarray(0, 5000);
  }
  return Buffer.from(out);
}

const fixed = (byte: number) => Buffer.alloc(16, byte);
const keys = sessionKeys(
  {
    suite: cipherSuite(17),
    consoleSessionId: 1,
    bmcSessionId: 2,
    consoleRandom: fixed(1),
    bmcRandom: fixed(2),
    bmcGuid: fixed(3),
    role: 0x14,
    username: Buffer.from('admin'),
  },
  Buffer.from('secret12'),
);

const sensor = { id: 1, number: 1, type: 1, unit: 1, format: 0, m: 1, name: 'Inlet' } as const;
const sealed = protect(keys, { payloadType: 0, sessionId: 7, sequence: 9, payload: Buffer.alloc(20) });

/** What comes from outside, and what reads it. Reading returns, or throws an error of the package. */
const parsers: readonly (readonly [string, Buffer, (bytes: Buffer) => unknown])[] = [
  ['sealed packet', sealed, (bytes) => unprotect(keys, 7, bytes)],
  ['plain packet', encodePlain(encodeRequest({ netFn: 7, command: 1, data: [1, 2] }, 3)), decodePlain],
  ['setup packet', encodeSetup(0x13, Buffer.alloc(60)), decodeSetup],
  ['message', encodeRequest({ netFn: 7, command: 1, data: [1, 2] }, 3), decodeResponse],
  ['setup answer', Buffer.alloc(40), decodeSetupAnswer],
  ['open session', Buffer.alloc(28), decodeOpenedSession],
  ['RAKP 2', Buffer.alloc(64), decodeRakp2],
  ['capabilities', Buffer.of(1, 0x80, 4, 2, 0, 0, 0, 0), decodeAuthCapabilities],
  ['SOL', Buffer.from('0102030068656c6c6f', 'hex'), decodeSol],
  ['FRU', testFru(), parseFru],
  ['full SDR', fullSdr(sensor), parseSdr],
  ['compact SDR', compactSdr(2, 2, 8, 'PSU'), parseSdr],
  ['SEL', Buffer.from('2a000210203065200004010181577170', 'hex'), parseSelEntry],
];

describe('garbage', () => {
  it.each(parsers)('%s: 3000 mutations are read, or refused with a typed error', (_name, good, parse) => {
    expect(() => parse(good)).not.toThrow();
    for (let round = 0; round < 3000; round += 1) {
      const bytes = mutate(good);
      try {
        parse(bytes);
      } catch (error) {
        expect(error, bytes.toString('hex')).toBeInstanceOf(IpmiError);
      }
    }
  });

  it('on the wire of an open session changes nothing', async () => {
    const peer = await startBmcPeer();
    const client = peer.client({ retryMs: 10_000 });
    try {
      await client.open();
      let real = Buffer.alloc(0);
      peer.state.wire = (datagram) => {
        real = Buffer.from(datagram);
        return [mutate(real), mutate(real), Buffer.alloc(5000, 6), datagram, mutate(real)].filter(
          (each) => each.length > 0,
        );
      };
      const before = process.memoryUsage().heapUsed;
      for (let round = 0; round < 1000; round += 1) expect((await getChassisStatus(client)).powerOn).toBe(true);
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 2 ** 20);
      // Each command was executed once: garbage never looked like a loss.
      expect(peer.commands.filter(({ netFn }) => netFn === 0).length).toBe(1000);
    } finally {
      await client.close();
      await peer.stop();
    }
  });

  it('during session setup does not stop it', async () => {
    const peer = await startBmcPeer();
    peer.state.wire = (datagram, { kind }) =>
      kind === 'ipmi' ? [datagram] : [...Array.from({ length: 20 }, () => garbageLike(datagram)), datagram];
    const client = peer.client();
    try {
      expect((await getChassisStatus(client)).powerOn).toBe(true);
    } finally {
      await client.close();
      await peer.stop();
    }
  });
});

/** Looks like the datagram, but is cut short inside its header or of another type: what must not be taken for an answer. */
function garbageLike(datagram: Buffer): Buffer {
  const bytes = Buffer.from(datagram);
  if (random.chance(0.5)) return bytes.subarray(0, 1 + random.int(15));
  bytes[random.pick([0, 3, 4])] = 0x55;
  return bytes;
}
