import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BadTransportUrlError } from '../src/errors.ts';
import { parseTransportUrl } from '../src/transport-url.ts';

describe('parseTransportUrl', () => {
  it('reads hosts, virtual host and TLS files', () => {
    const url = parseTransportUrl(
      'rabbit://me:p%40ss:w@h1:5673,[::1],you:two@h3/nova%2Fx?ssl=1&ssl_ca_file=/ca.pem&ssl_key_file=/k',
    );
    expect(url.hosts.map((h) => [h.hostname, h.port, h.username, h.password])).toEqual([
      ['h1', 5673, 'me', 'p@ss:w'],
      ['::1', 5671, 'me', 'p@ss:w'],
      ['h3', 5671, 'you', 'two'],
    ]);
    expect(url.virtualHost).toBe('nova/x');
    expect(url.tls).toEqual({ caFile: '/ca.pem', keyFile: '/k' });
  });

  it.each(['rabbit://a:b@h', 'rabbit://a:b@h/', 'amqp://a:b@h:5672/'])('takes / as virtual host of %s', (text) => {
    const url = parseTransportUrl(text);
    expect([url.virtualHost, url.tls, url.hosts[0]?.port]).toEqual(['/', null, 5672]);
  });

  it('never shows a password', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{12,20}$/), (secret) => {
        const url = parseTransportUrl(`rabbit://user:${secret}@h1,user:${secret}@h2/v`);
        for (const shown of [
          String(url),
          JSON.stringify(url),
          inspect(url),
          JSON.stringify(url.hosts),
          inspect(url.hosts),
        ]) {
          expect(shown).not.toContain(secret);
        }
        expect(url.hosts[1]?.password).toBe(secret);
      }),
    );
  });

  it.each([
    'rabbit:/h',
    'http://h',
    'rabbit://',
    'rabbit://u:p@h:0',
    'rabbit://u:p@h:99999',
    'rabbit://u:p@h:x',
    'rabbit://u:%zz@h',
    'rabbit://u:p@h?ssl=maybe',
    'rabbit://u:p@h?ssl_ca_file=/ca',
  ])('refuses %s and does not repeat it', (text) => {
    expect(() => parseTransportUrl(text)).toThrow(BadTransportUrlError);
    expect(() => parseTransportUrl(text)).not.toThrow(text);
  });
});
