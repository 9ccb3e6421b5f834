import { isIP } from 'node:net';
import { BadAddressError } from './errors.ts';

/** Where an OVSDB server listens (ovsdb(7), active connection methods). */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number };

const DEFAULT_PORT = 6640; // RFC 7047 6: IANA's port of OVSDB

/**
 * Reads `unix:PATH`, `tcp:HOST[:PORT]` or `ssl:HOST[:PORT]`; an IPv6 address stands in brackets, the port defaults to 6640.
 *
 * @throws BadAddressError `bad-address`
 */
export function parseAddress(text: string): Address {
  const colon = text.indexOf(':');
  const scheme = text.slice(0, Math.max(colon, 0));
  const rest = text.slice(colon + 1);
  if (scheme === 'unix') {
    if (rest === '' || rest.includes('\0')) throw new BadAddressError('unix: needs a path');
    return { kind: 'unix', path: rest };
  }
  if (scheme !== 'tcp' && scheme !== 'ssl') throw new BadAddressError('an address starts with unix:, tcp: or ssl:');
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(rest);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  if (host === undefined || (match?.[1] !== undefined && isIP(host) !== 6)) {
    throw new BadAddressError(`${scheme}: needs HOST[:PORT], an IPv6 address in brackets`);
  }
  if (port < 1 || port > 65535) throw new BadAddressError(`${scheme}: port ${port} is not in 1..65535`);
  return { kind: scheme, host, port };
}
