import { inspect } from 'node:util';
import { BadTransportUrlError } from './errors.ts';

/** One broker of a transport URL. */
export type BrokerAddress = {
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
};

/** TLS files as oslo.messaging names them (`ssl_ca_file`, ...). */
export type TlsFiles = {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
};

/** A parsed transport_url. `toString` and `toJSON` never show a password. */
export type TransportUrl = {
  readonly hosts: readonly BrokerAddress[];
  readonly virtualHost: string;
  /** Null: plain TCP. The certificate is always verified, host name included. */
  readonly tls: TlsFiles | null;
  toString(): string;
  toJSON(): string;
};

/**
 * Reads an oslo.messaging transport_url: `rabbit://user:pass@h1:p,user:pass@h2:p/vhost?ssl=1&ssl_ca_file=...`.
 * A host without user and password has those of the first host; no path means the virtual host `/`.
 * Also taken: the schemes `kombu+rabbit`, `amqp`, and `amqps` (TLS).
 * @throws BadTransportUrlError
 */
export function parseTransportUrl(url: string): TransportUrl {
  const match = /^([a-z+]+):\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(url);
  if (match === null) throw new BadTransportUrlError('not of the form rabbit://user:password@host:port/vhost');
  const [, rawScheme = '', authority = '', path = '', query = ''] = match;
  const scheme = rawScheme.toLowerCase();
  if (!['rabbit', 'kombu+rabbit', 'amqp', 'amqps'].includes(scheme)) throw new BadTransportUrlError('unknown scheme');
  const tls = readTls(scheme, new URLSearchParams(query));
  const defaultPort = tls === null ? 5672 : 5671;
  const hosts: BrokerAddress[] = [];
  for (const part of authority.split(',')) hosts.push(readHost(part, defaultPort, hosts[0]));
  const virtualHost = decode(path) || '/';
  const shown = `${scheme}://${hosts.map((h) => `***@${h.hostname.includes(':') ? `[${h.hostname}]` : h.hostname}:${h.port}`).join(',')}/${path}`;
  const secret = Object.freeze(hosts.map(hidePassword));
  return Object.freeze({
    hosts: secret,
    virtualHost,
    tls,
    toString: () => shown,
    toJSON: () => shown,
    [inspect.custom]: () => shown,
  });
}

/** A password that property access gives, but JSON and inspection do not. */
function hidePassword(host: BrokerAddress): BrokerAddress {
  const copy = { hostname: host.hostname, port: host.port, username: host.username };
  return Object.freeze(
    Object.defineProperty(copy, 'password', { value: host.password, enumerable: false }),
  ) as BrokerAddress;
}

function readTls(scheme: string, query: URLSearchParams): TlsFiles | null {
  const flag = query.get('ssl') ?? (scheme === 'amqps' ? '1' : '0');
  if (!/^(1|0|true|false|yes|no|on|off)$/i.test(flag)) throw new BadTransportUrlError('ssl is neither true nor false');
  if (!/^(1|true|yes|on)$/i.test(flag)) {
    // A certificate that would silently go unused is a plain-text connection nobody wanted.
    if ([...query.keys()].some((key) => key.startsWith('ssl_')))
      throw new BadTransportUrlError('ssl_* given without ssl=1');
    return null;
  }
  const file = (name: string) => query.get(name) || undefined;
  const [caFile, certFile, keyFile] = [file('ssl_ca_file'), file('ssl_cert_file'), file('ssl_key_file')];
  return Object.freeze({
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
  });
}

function readHost(part: string, defaultPort: number, first: BrokerAddress | undefined): BrokerAddress {
  const at = part.lastIndexOf('@');
  const [account, address] = at < 0 ? ['', part] : [part.slice(0, at), part.slice(at + 1)];
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(address);
  if (match === null) throw new BadTransportUrlError('a host cannot be read');
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port < 1 || port > 65_535) throw new BadTransportUrlError('a port is out of range');
  const colon = account.indexOf(':');
  const [user, password] = colon < 0 ? [account, ''] : [account.slice(0, colon), account.slice(colon + 1)];
  return {
    hostname: match[1] ?? match[2] ?? '',
    port,
    username: at < 0 ? (first?.username ?? '') : decode(user),
    password: at < 0 ? (first?.password ?? '') : decode(password),
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new BadTransportUrlError('a percent escape cannot be read');
  }
}
