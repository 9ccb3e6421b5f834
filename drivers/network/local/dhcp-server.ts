import { metadataAddress } from '../pipeline.ts';
import { type DhcpRequest, formatReply, messageTypes, options, packIpv4, parseRequest } from './dhcp-message.ts';

/** What a client is told. */
export interface Lease {
  readonly address: string;
  /** Bits of the subnet's prefix. */
  readonly prefix: number;
  readonly gateway: string | null;
  readonly dns: readonly string[];
  readonly mtu: number | null;
  readonly hostName: string | null;
  readonly seconds: number;
}

/** An answer, and where to. */
export interface Answer {
  readonly message: Buffer;
  /** An address, 255.255.255.255 where the client has none that it listens on. */
  readonly to: string;
  /** The client's, so that the answer finds it before it answers ARP. */
  readonly mac: string;
}

const unspecified = '0.0.0.0';
const everybody = '255.255.255.255';

/**
 * Answers a client's message (RFC 2131 4.3) from what was allocated to its MAC; null where there is nothing to say. Leases are not
 * kept: the allocation is the lease.
 */
export function answerDhcp(message: Buffer, leaseOf: (mac: string) => Lease | null): Answer | null {
  const request = parseRequest(message);
  if (!request || request.relayAddress !== unspecified) return null;
  if (request.serverId !== null && request.serverId !== metadataAddress) return null; // another server was chosen
  const lease = leaseOf(request.mac);
  if (!lease) return null;
  switch (request.type) {
    case messageTypes.discover:
      return reply(request, lease, messageTypes.offer);
    case messageTypes.request: {
      const wanted = request.requestedAddress ?? request.clientAddress;
      return wanted === lease.address ? reply(request, lease, messageTypes.ack) : refuse(request);
    }
    case messageTypes.inform:
      return inform(request, lease);
    default:
      return null; // a release or decline changes nothing: the address is the port's
  }
}

function reply(request: DhcpRequest, lease: Lease, type: number): Answer {
  const times = new Map([
    [options.leaseTime as number, uint32(lease.seconds)],
    [options.renewalTime, uint32(Math.floor(lease.seconds / 2))],
    [options.rebindingTime, uint32(Math.floor((lease.seconds * 7) / 8))],
  ]);
  const message = formatReply(request, {
    type,
    address: lease.address,
    options: new Map([...settings(lease), ...times]),
  });
  const bound = request.clientAddress !== unspecified;
  const to = bound ? request.clientAddress : request.broadcast ? everybody : lease.address;
  return { message, to, mac: request.mac };
}

function refuse(request: DhcpRequest): Answer {
  const own = new Map([[options.serverId as number, packIpv4(metadataAddress)]]);
  const message = formatReply(request, { type: messageTypes.nak, address: unspecified, options: own });
  return { message, to: everybody, mac: request.mac };
}

/** The client has its address from elsewhere: no address and no times (RFC 2131 4.3.5). */
function inform(request: DhcpRequest, lease: Lease): Answer | null {
  if (request.clientAddress !== lease.address) return null;
  const message = formatReply(request, { type: messageTypes.ack, address: unspecified, options: settings(lease) });
  return { message, to: request.clientAddress, mac: request.mac };
}

function settings(lease: Lease): ReadonlyMap<number, Buffer> {
  const { prefix, gateway, dns, mtu, hostName } = lease;
  const host = hostName === null ? null : Buffer.from(hostName.slice(0, 63), 'ascii');
  return new Map<number, Buffer>([
    [options.serverId, packIpv4(metadataAddress)],
    [options.mask, uint32(prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0)],
    ...(gateway === null ? [] : [[options.router, packIpv4(gateway)] as const]),
    ...(dns.length === 0 ? [] : [[options.dns, Buffer.concat(dns.map(packIpv4))] as const]),
    ...(host === null || host.length === 0 ? [] : [[options.hostName, host] as const]),
    ...(mtu === null ? [] : [[options.mtu, Buffer.of(mtu >> 8, mtu & 0xff)] as const]),
    [options.classlessRoutes, routes(gateway)],
  ]);
}

/** Metadata is on the link; a client that reads these does not look at `router` (RFC 3442). */
function routes(gateway: string | null): Buffer {
  const metadata = Buffer.concat([Buffer.of(32), packIpv4(metadataAddress), packIpv4(unspecified)]);
  return gateway === null ? metadata : Buffer.concat([metadata, Buffer.of(0), packIpv4(gateway)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
