import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageTypes, parseRequest } from '../../drivers/network/local/dhcp-message.ts';
import { answerDhcp, type Lease } from '../../drivers/network/local/dhcp-server.ts';

const mac = '02:00:00:00:00:21';
const lease: Lease = {
  address: '10.7.0.21',
  prefix: 24,
  gateway: '10.7.0.1',
  dns: ['10.7.0.53', '10.7.0.54'],
  mtu: 1450,
  hostName: 'web-1',
  seconds: 600,
};
const leases = (asked: string): Lease | null => (asked === mac ? lease : null);

interface Asked {
  readonly type: number;
  readonly client?: string;
  readonly relay?: string;
  readonly requested?: string;
  readonly server?: string;
  readonly broadcast?: boolean;
  readonly from?: string;
}

const bytes = (address: string): number[] => address.split('.').map(Number);

/** A client's message, byte for byte (RFC 2131 figure 1). */
function ask({ type, client, relay, requested, server, broadcast = false, from = mac }: Asked): Buffer {
  const fixed = Buffer.alloc(240);
  fixed.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
  fixed.writeUInt16BE(broadcast ? 0x8000 : 0, 10);
  fixed.set(bytes(client ?? '0.0.0.0'), 12);
  fixed.set(bytes(relay ?? '0.0.0.0'), 24);
  fixed.set(
    from.split(':').map((part) => Number.parseInt(part, 16)),
    28,
  );
  fixed.writeUInt32BE(0x63825363, 236);
  const options = [
    [53, 1, type],
    ...(requested === undefined ? [] : [[50, 4, ...bytes(requested)]]),
    ...(server === undefined ? [] : [[54, 4, ...bytes(server)]]),
    [255],
  ];
  return Buffer.concat([fixed, Buffer.from(options.flat())]);
}

/** An answer's address and options. */
function read(message: Buffer): { readonly address: string; readonly options: ReadonlyMap<number, readonly number[]> } {
  const options = new Map<number, readonly number[]>();
  for (let index = 240; message[index] !== 255; index += 2 + (message[index + 1] ?? 0)) {
    options.set(message[index] ?? 0, [...message.subarray(index + 2, index + 2 + (message[index + 1] ?? 0))]);
  }
  return { address: [...message.subarray(16, 20)].join('.'), options };
}

describe('DHCP', () => {
  it('offers the address that was allocated, with all that goes with it', () => {
    const answer = answerDhcp(ask({ type: messageTypes.discover }), leases);
    expect(answer).toMatchObject({ to: lease.address, mac });
    const message = answer?.message ?? Buffer.alloc(0);
    expect(message.length).toBeGreaterThanOrEqual(300);
    expect(message.readUInt32BE(4)).toBe(0xdeadbeef);
    const { address, options } = read(message);
    expect(address).toBe(lease.address);
    expect(Object.fromEntries(options)).toEqual({
      53: [messageTypes.offer],
      54: [169, 254, 169, 254],
      1: [255, 255, 255, 0],
      3: [10, 7, 0, 1],
      6: [10, 7, 0, 53, 10, 7, 0, 54],
      12: [...Buffer.from('web-1')],
      26: [1450 >> 8, 1450 & 0xff],
      121: [32, 169, 254, 169, 254, 0, 0, 0, 0, 0, 10, 7, 0, 1],
      51: [0, 0, 2, 88],
      58: [0, 0, 1, 44],
      59: [0, 0, 2, 13],
    });
  });

  it.each([
    ['takes its own address', { requested: lease.address }, messageTypes.ack, lease.address],
    ['renews it', { client: lease.address }, messageTypes.ack, lease.address],
    ['listens to broadcasts only', { requested: lease.address, broadcast: true }, messageTypes.ack, '255.255.255.255'],
    ['wants another one', { requested: '10.7.0.99' }, messageTypes.nak, '255.255.255.255'],
    ['renews another one', { client: '10.7.0.99' }, messageTypes.nak, '255.255.255.255'],
  ] as const)('answers who %s', (_, asked, type, to) => {
    const answer = answerDhcp(ask({ type: messageTypes.request, ...asked }), leases);
    expect(answer?.to).toBe(to);
    expect(read(answer?.message ?? Buffer.alloc(0)).options.get(53)).toEqual([type]);
  });

  it('tells who has its address already what else there is, without times', () => {
    const answer = answerDhcp(ask({ type: messageTypes.inform, client: lease.address }), leases);
    const { address, options } = read(answer?.message ?? Buffer.alloc(0));
    expect([address, options.has(51), options.has(3)]).toEqual(['0.0.0.0', false, true]);
  });

  it.each([
    ['a stranger', ask({ type: messageTypes.discover, from: '02:00:00:00:00:99' })],
    ['who chose another server', ask({ type: messageTypes.request, requested: lease.address, server: '10.7.0.2' })],
    ['a relay', ask({ type: messageTypes.discover, relay: '10.7.0.3' })],
    ['a release', ask({ type: messageTypes.release, client: lease.address })],
    ['who informs of a foreign address', ask({ type: messageTypes.inform, client: '10.7.0.99' })],
    ['a server', Buffer.concat([Buffer.of(2), ask({ type: messageTypes.discover }).subarray(1)])],
    ['nobody', Buffer.alloc(0)],
  ])('says nothing to %s', (_, message) => {
    expect(answerDhcp(message, leases)).toBeNull();
  });

  it('reads any bytes without a throw', () => {
    const whole = ask({ type: messageTypes.request, requested: lease.address });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(whole.length), (noise, at) => {
        parseRequest(Buffer.from(noise));
        const broken = Buffer.concat([whole.subarray(0, at), Buffer.from(noise)]);
        answerDhcp(broken, leases);
      }),
    );
  });
});
