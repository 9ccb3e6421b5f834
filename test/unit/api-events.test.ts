import { request } from 'node:http';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type ApiFixture, startApi } from '../support/api-fixture.ts';

/** Long enough for a machine that has more to do. */
const patient = { timeout: 15_000, interval: 20 };

let fixture: ApiFixture;
beforeEach(async () => {
  fixture = await startApi({}, { eventBufferBytes: 65_536 });
});
afterEach(() => fixture.close());

function watch(lastId?: string, reading = true) {
  const state = { text: '', closed: false, stop: (): void => undefined };
  const headers = lastId === undefined ? {} : { 'last-event-id': lastId };
  const sent = request(
    { socketPath: fixture.address.socket, path: '/v1/events', headers, agent: false },
    (response) => {
      response.on('error', () => undefined);
      response.on('close', () => {
        state.closed = true;
      });
      if (!reading) return;
      response.on('data', (chunk: Buffer) => {
        state.text += chunk.toString();
      });
    },
  );
  sent.on('error', () => undefined);
  sent.end();
  state.stop = () => void sent.destroy();
  return state;
}
const emit = (generation: number): void => fixture.service.emit('node', { ...fixture.service.node, generation });
const subscribed = (count: number) => vi.waitFor(() => expect(fixture.service.subscribers).toBe(count), patient);

it('goes on after the last event that the client has', async () => {
  const first = watch();
  await subscribed(1);
  emit(1);
  await vi.waitFor(() => expect(first.text).toContain('event: node'), patient);
  const id = /^id: (\S+)$/m.exec(first.text)?.[1] ?? '';
  first.stop();
  await subscribed(0);
  emit(2);
  const second = watch(id);
  await vi.waitFor(() => expect(second.text).toContain('"generation":2'), patient);
  expect(second.text).not.toContain('"generation":1,');
  expect(second.text).not.toContain('reset');
  fixture.service.held = 1;
  for (const each of [3, 4]) emit(each);
  const late = watch(id);
  await vi.waitFor(() => expect(late.text).toMatch(/event: reset[\s\S]*"generation":4/), patient);
});

it('says that events may be missed to a client of another process', async () => {
  const stream = watch('deadbeef-7');
  await vi.waitFor(() => expect(stream.text).toContain('event: reset'), patient);
});

it('drops a client that does not read, and no other', async () => {
  watch(undefined, false);
  const reader = watch();
  await subscribed(2);
  const reason = { id: 'x', message: 'm'.repeat(4000), since: '2026-11-21T05:00:00Z' };
  for (let count = 0; fixture.service.subscribers === 2 && count < 5000; count += 1) {
    fixture.service.emit('node', { ...fixture.service.node, not_ready_reasons: [reason] });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await subscribed(1);
  emit(77);
  await vi.waitFor(() => expect(reader.text).toContain('"generation":77'), patient);
  expect((await fixture.ask('GET', '/metrics')).text).toContain('dpu_event_streams_dropped_total 1');
});

it('ends its streams when it closes', async () => {
  const stream = watch();
  await subscribed(1);
  await fixture.api.close(1000);
  await vi.waitFor(() => expect(stream.closed).toBe(true), patient);
  expect(fixture.service.subscribers).toBe(0);
});
