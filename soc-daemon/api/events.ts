import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeService, ServiceEvent } from '../../core/ports/compute-service.ts';
import type { Metrics } from '../../kit/metrics.ts';
import { HttpError } from './http-error.ts';

const HEARTBEAT_MS = 15_000;
const MAX_STREAMS = 64;

/** What event streams are made from. */
export interface EventStreamsOptions {
  readonly service: ComputeService;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Bytes that may wait for a client; one that falls further behind is dropped. */
  readonly bufferBytes: number;
}

/** The open streams of server-sent events (WHATWG HTML 9.2). */
export interface EventStreams {
  /**
   * Streams events to a client until it goes, falls behind, or the streams are closed. Ids are `<process>-<n>`: a client that comes
   * back with its last id gets what it missed, or an event `reset` first where that is not held any more.
   * @throws HttpError `busy` with too many streams.
   */
  open(request: IncomingMessage, response: ServerResponse): void;
  /** Ends all of them; clients come back by themselves. */
  close(): void;
}

/** Makes the streams of one process. */
export function createEventStreams(options: EventStreamsOptions): EventStreams {
  const { service, clock, metrics, bufferBytes } = options;
  const epoch = randomBytes(4).toString('hex');
  const open = new Set<() => void>();

  function start(response: ServerResponse, lastId: string | undefined): void {
    const since = sinceOf(lastId, epoch);
    let expected = since === undefined ? undefined : since + 1;
    let unsubscribe = (): void => {};
    let heartbeat = clock.timer(HEARTBEAT_MS, beat);
    let over = false;

    function send(text: string): void {
      if (over) return;
      response.write(text);
      if (response.writableLength <= bufferBytes) return;
      metrics.eventStreamDropped();
      stop();
      response.destroy();
    }
    function beat(): void {
      heartbeat = clock.timer(HEARTBEAT_MS, beat);
      send(': heartbeat\n\n');
    }
    function onEvent(event: ServiceEvent): void {
      if (expected !== undefined && event.id > expected) send('event: reset\ndata: {}\n\n');
      expected = undefined;
      send(`id: ${epoch}-${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event.data)}\n\n`);
    }
    function stop(): void {
      if (over) return;
      over = true;
      heartbeat.cancel();
      unsubscribe();
      open.delete(end);
      metrics.setEventStreams(open.size);
    }
    function end(): void {
      stop();
      response.end();
    }

    open.add(end);
    metrics.setEventStreams(open.size);
    response.on('close', stop);
    send('retry: 1000\n\n');
    if (lastId !== undefined && since === undefined) send('event: reset\ndata: {}\n\n');
    const leave = service.subscribe(onEvent, since ?? Number.POSITIVE_INFINITY);
    if (over) leave();
    else unsubscribe = leave;
  }

  return {
    open: (request, response) => {
      if (open.size >= MAX_STREAMS) {
        throw new HttpError(429, 'busy', 'too many event streams are open', { headers: { 'retry-after': '5' } });
      }
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      const lastId = request.headers['last-event-id'];
      if (request.method === 'HEAD') response.end();
      else start(response, typeof lastId === 'string' ? lastId : undefined);
    },
    close: () => {
      for (const end of [...open]) end();
    },
  };
}

/** The number in a `Last-Event-ID` of this process; undefined for any other. */
function sinceOf(lastId: string | undefined, epoch: string): number | undefined {
  const [process, number = ''] = lastId?.split('-') ?? [];
  return process === epoch && /^\d{1,15}$/.test(number) ? Number(number) : undefined;
}
