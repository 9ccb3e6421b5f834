import { createServer } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffDelay, retryAfterSec } from '../src/backoff.ts';
import { connectRedfish, eventsOf, messagesOf, quirksFor, RedfishError, STANDARD, sseParser } from '../src/index.ts';
import { toDrive, toMemory, toNetworkAdapter, toPcieDevice, toProcessor, toStorage } from '../src/inventory-parts.ts';
import { parseObject } from '../src/json.ts';
import { locationPath, pathOn } from '../src/origin.ts';
import { toSystem } from '../src/system.ts';
import { toVirtualMedia } from '../src/virtual-media.ts';
import { makeTree, SYSTEM } from './bmc/tree.ts';

const line = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n\0]/g, '-'));
const event = fc.record({
  id: line,
  event: line.filter((text) => text !== ''),
  data: fc.array(line, { minLength: 1 }),
});

describe('event streams', () => {
  it('are the same wherever they are cut, with any line end', () => {
    const given = fc.tuple(
      fc.array(event),
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
    );
    fc.assert(
      fc.property(given, ([events, end, cuts]) => {
        const text = events
          .map(({ id, event, data }) =>
            [`: comment`, `id: ${id}`, `event: ${event}`, ...data.map((one) => `data: ${one}`), '', ''].join(end),
          )
          .join('');
        const bytes = Buffer.from(text);
        const parser = sseParser(1_000_000);
        const found = [];
        for (let at = 0; at < bytes.length; ) {
          const size = cuts.next().value;
          found.push(...parser.push(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(found).toEqual(events.map((one) => ({ ...one, data: one.data.join('\n') })));
      }),
      { numRuns: 300 },
    );
  });

  it('keep no more than the limit', () => {
    const endless = [Buffer.from('data: x'), Buffer.alloc(1000, 'x'), Buffer.alloc(1000, 'x')];
    const parser = sseParser(1500);
    expect(() => endless.map((piece) => parser.push(piece))).toThrow(expect.objectContaining({ code: 'too-large' }));
    const lines = sseParser(1500);
    const many = () => Array.from({ length: 2000 }, () => lines.push(Buffer.from('data\n')));
    expect(many).toThrow(expect.objectContaining({ code: 'too-large' }));
  });
});

describe('mutated bodies', () => {
  it('never crash a reader, and are refused with our own error or read', () => {
    const bodies = [...makeTree({}).values()].map((node) => Buffer.from(JSON.stringify(node)));
    const given = fc.record({
      body: fc.constantFrom(...bodies),
      edits: fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'cut', 'copy')), {
        minLength: 1,
        maxLength: 6,
      }),
    });
    fc.assert(
      fc.property(given, ({ body, edits }) => {
        let bytes = Buffer.from(body);
        for (const [where, value, how] of edits) {
          const at = where % (bytes.length + 1);
          if (how === 'set' && at < bytes.length) bytes[at] = value;
          else if (how === 'cut') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + value)]);
          else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + value), bytes.subarray(at)]);
        }
        readEverything(bytes);
      }),
      { numRuns: 4000 },
    );
  });

  it('may hold any JSON under any name', () => {
    const names = fc.constantFrom(
      ...Object.keys(makeTree({}).get(SYSTEM) ?? {}),
      '@Message.ExtendedInfo',
      'error',
      'Events',
      'Drives',
      'Controllers',
      'Identifiers',
      '__proto__',
    );
    fc.assert(
      fc.property(fc.dictionary(names, fc.jsonValue({ maxDepth: 4 })), (body) => {
        readEverything(Buffer.from(JSON.stringify(body)));
      }),
      { numRuns: 2000 },
    );
  });
});

function readEverything(bytes: Buffer): void {
  try {
    const body = parseObject(bytes, 64, 'fuzz');
    const raw = { path: '/x', body, etag: undefined };
    for (const read of [toSystem, toProcessor, toMemory, toPcieDevice, toNetworkAdapter, toDrive, toVirtualMedia])
      read(raw);
    toStorage(raw, new Map());
    for (const message of [...messagesOf(body, ['x']), ...eventsOf(body)])
      expect(message.message.length).toBeLessThan(1025);
  } catch (error) {
    if (!(error instanceof RedfishError)) throw error;
  }
  for (const { data } of sseParser(100_000).push(bytes)) expect(typeof data).toBe('string');
}

it('takes any bytes for an answer, and stays usable', async () => {
  const good = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "x"\r\nConnection: close\r\n\r\n{}';
  let next: Buffer = Buffer.alloc(0);
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(next));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const options = { url: `http://127.0.0.1:${port}`, plainHttp: true, auth: { kind: 'none' }, retries: 0 } as const;
  const client = connectRedfish({ ...options, timeoutMs: 20_000, maxBytes: 1000 });
  const edits = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(edits, async (changes) => {
      next = Buffer.from(good);
      for (const [at, value] of changes) next[at] = value;
      await client.get('/redfish/v1/').catch((error: unknown) => {
        if (!(error instanceof RedfishError)) throw error;
      });
    }),
    { numRuns: 1000 },
  );
  next = Buffer.from(good);
  expect(await client.get('/redfish/v1/')).toMatchObject({ status: 200, etag: '"x"' });
  await client.close();
  await new Promise((resolve) => server.close(resolve));
}, 60_000);

it('reads again on a new connection when a kept one turns out to be closed', async () => {
  const answered: string[] = [];
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(answer);
      socket.once('data', (bytes) => {
        answered.push(bytes.toString().split(' ', 1).join());
        socket.resetAndDestroy();
      });
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const options = { url: `http://127.0.0.1:${port}`, plainHttp: true, auth: { kind: 'none' }, retries: 0 } as const;
  const client = connectRedfish({ ...options, timeoutMs: 20_000 });
  for (let round = 0; round < 4; round++) expect(await client.get('/redfish/v1/')).toMatchObject({ status: 200 });
  expect(answered).toEqual(['GET', 'GET', 'GET']);
  await client.close();
  await new Promise((resolve) => server.close(resolve));
});

it('keeps every reference on its own origin', () => {
  const origin = new URL('https://bmc.test');
  fc.assert(
    fc.property(fc.oneof(fc.webUrl({ withQueryParameters: true }), fc.string(), fc.webPath()), (reference) => {
      try {
        expect(new URL(pathOn(origin, reference), origin).origin).toBe(origin.origin);
        expect(new URL(locationPath(origin, reference), origin).origin).toBe(origin.origin);
      } catch (error) {
        if (!(error instanceof RedfishError)) throw error;
      }
    }),
    { numRuns: 400, examples: [['/.//evil.test/'], ['https://bmc.test//evil.test/']] },
  );
});

it('reads Retry-After as delay and as date, and waits with full jitter', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  expect(retryAfterSec('7')).toBe(7);
  expect(retryAfterSec('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30);
  expect(retryAfterSec('Wed, 31 Dec 2025 00:00:30 GMT', now)).toBe(0);
  expect(retryAfterSec('999999999')).toBe(3600);
  expect(retryAfterSec('soon')).toBeUndefined();
  expect(backoffDelay(3, { baseMs: 100, maxMs: 500 }, () => 0.5)).toBe(250);
  expect(backoffDelay(3, {}, () => 0)).toBe(0);
});

it('finds quirks by vendor and product, the first row first', () => {
  const rows = [
    { vendor: /^a/, product: /^x/, set: { ifMatch: 'never' }, source: 'test' },
    { vendor: /^a/, set: { ifMatch: 'always', biosSettings: ['SD'] }, source: 'test' },
  ] as const;
  expect(quirksFor({ vendor: 'abc', product: 'x1' }, rows)).toEqual({
    ...STANDARD,
    ifMatch: 'never',
    biosSettings: ['SD'],
  });
  expect(quirksFor({ vendor: 'abc' }, rows)).toMatchObject({ ifMatch: 'always' });
  expect(quirksFor({}, rows)).toEqual(STANDARD);
});
