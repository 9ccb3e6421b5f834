import { expect, it } from 'vitest';
import { setPower, streamEvents, watch } from '../src/index.ts';
import { startBmc } from './bmc/server.ts';
import { SYSTEM } from './bmc/tree.ts';
import { bench } from './support.ts';

const connected = (at: { notices: readonly { kind: string }[] }) =>
  at.notices.filter(({ kind }) => kind === 'stream-connected').length;

it('streams events, through a broken connection and a lost session', async () => {
  await using at = await bench();
  const own = new AbortController();
  const events = streamEvents(at.client, { signal: own.signal });
  const first = events.next();
  await expect.poll(() => connected(at)).toBe(1);
  await setPower(at.client, SYSTEM, 'on');
  expect((await first).value).toMatchObject({ messageId: 'Sim.1.0.PowerStateOn', origin: SYSTEM, eventId: '1' });

  const second = events.next();
  at.bmc.dropSessions();
  at.bmc.breakConnections();
  await expect.poll(() => connected(at)).toBe(2);
  at.bmc.emit(SYSTEM, 'Second');
  expect((await second).value).toMatchObject({ message: 'Second' });
  const reopened = at.bmc.seen.findLast(({ path }) => path.endsWith('/SSE'));
  expect(reopened?.headers['last-event-id']).toBe('1');

  const third = events.next();
  own.abort();
  expect((await third).done).toBe(true);
});

it('streams on from a BMC that restarted', async () => {
  await using at = await bench();
  const own = new AbortController();
  const events = streamEvents(at.client, { signal: own.signal, filter: "EventFormatType eq 'Event'" });
  const next = events.next();
  await expect.poll(() => connected(at)).toBe(1);
  await at.bmc.stop();
  const again = await startBmc({ port: at.bmc.port });
  await expect.poll(() => connected(at), { timeout: 20_000 }).toBe(2);
  again.emit(SYSTEM, 'Restarted');
  expect((await next).value).toMatchObject({ message: 'Restarted' });
  own.abort();
  await events.return();
  await again.stop();
});

it('polls where there is no stream', async () => {
  await using at = await bench({ events: false }, { retries: 0 });
  const own = new AbortController();
  await expect(streamEvents(at.client, { signal: own.signal }).next()).rejects.toMatchObject({ code: 'unsupported' });
  const changes = watch(at.client, [SYSTEM], { signal: own.signal });
  expect((await changes.next()).value).toMatchObject({ kind: 'changed', resource: { body: { PowerState: 'Off' } } });
  await setPower(at.client, SYSTEM, 'on');
  expect((await changes.next()).value).toMatchObject({ kind: 'changed', resource: { body: { PowerState: 'On' } } });
  at.bmc.addFault({ path: SYSTEM, times: 2, does: { kind: 'answer', status: 503 } });
  expect((await changes.next()).value).toMatchObject({ kind: 'failing', problem: { code: 'unavailable' } });
  expect((await changes.next()).value).toMatchObject({ kind: 'changed' });
  const last = changes.next();
  own.abort();
  expect((await last).done).toBe(true);
});

it('is closed by the client', async () => {
  await using at = await bench();
  const { client } = at;
  const next = streamEvents(client, { signal: new AbortController().signal }).next();
  await expect.poll(() => connected(at)).toBe(1);
  await client.close();
  await expect(next).rejects.toMatchObject({ code: 'closed' });
});
