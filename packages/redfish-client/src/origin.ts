import { BadOptionError, ProtocolError } from './errors.ts';

/**
 * Origin of a service from the URL a user gave.
 * @throws BadOptionError for another scheme, credentials in the URL, or plain HTTP without `plainHttp`.
 */
export function parseOrigin(url: string, plainHttp: boolean): URL {
  const parsed = URL.parse(url);
  if (parsed === null) throw new BadOptionError('the URL cannot be parsed');
  if (parsed.username !== '' || parsed.password !== '') throw new BadOptionError('no credentials in the URL: use auth');
  if (parsed.protocol === 'http:' && !plainHttp) throw new BadOptionError('http: needs plainHttp, it protects nothing');
  if (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') throw new BadOptionError('only https: and http:');
  return new URL(parsed.origin);
}

/**
 * Path and query of a reference on the service's origin.
 * @throws ProtocolError `redirect` when it names another origin.
 */
export function pathOn(origin: URL, reference: string, from = '/'): string {
  const url = URL.parse(reference, new URL(from, origin).href);
  if (url === null) throw new ProtocolError('a reference that is no URI', 'protocol');
  if (url.origin !== origin.origin) throw new ProtocolError('a reference to another origin', 'redirect');
  return rooted(url);
}

/**
 * Path of a `Location` header. Services behind a forwarded port name themselves by another host there; we ask the same path of
 * the origin we were given and never go elsewhere.
 */
export function locationPath(origin: URL, location: string, from = '/'): string {
  const url = URL.parse(location, new URL(from, origin).href);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new ProtocolError('a Location that is no URI');
  return rooted(url);
}

/** A path that begins with one slash alone: `//x` would be read as a host when it is resolved again. */
function rooted(url: URL): string {
  return url.pathname.replace(/^\/+/, '/') + url.search;
}
