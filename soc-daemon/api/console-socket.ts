import type { IncomingHttpHeaders, IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../core/ports/clock.ts';
import type { ConsoleDesk, ConsoleSeat } from '../../core/ports/host-console.ts';
import type { Log } from '../../core/ports/log.ts';
import type { InstanceId } from '../../core/units.ts';
import { HttpError } from './http-error.ts';
import { rawProblem } from './problem.ts';

/** What console sockets are made from. */
export interface ConsoleSocketOptions {
  readonly desk: ConsoleDesk;
  readonly clock: Clock;
  readonly log: Log;
  /** How long one connection may last, in milliseconds. */
  readonly sessionMs: number;
}

/** The WebSockets of consoles: `GET /v1/console?token=…` with an upgrade. */
export interface ConsoleSockets {
  /** Takes the upgrades of a server. */
  serve(server: Server): void;
  close(): void;
}

/** Path of the WebSocket; the token is in the query, since a browser can give nothing else along. */
export const consolePath = '/v1/console';

const maxMessageBytes = 65_536;
const maxWaitingBytes = 1_048_576;
const maxSockets = 32;
const historyBytes = 65_536;
const closeMs = 500;
const goingAway = 1001;
const policy = 1008;

/**
 * Binary messages are the console's bytes, both ways. Text messages are JSON: `{"type":"role","writes":true|false}` says whether input is taken;
 * `{"type":"take"}` asks for it, and whoever wrote before goes on watching. The last of what the console showed comes first.
 */
export function createConsoleSockets({ desk, clock, log, sessionMs }: ConsoleSocketOptions): ConsoleSockets {
  let upgrades: WebSocketServer | undefined;

  /** Loaded with the first console: most nodes have none open, and it is 3 MiB. */
  async function load(): Promise<WebSocketServer> {
    const { WebSocketServer: Upgrades } = await import('ws');
    upgrades ??= new Upgrades({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false });
    return upgrades;
  }

  /** Whose console it is. @throws HttpError for who may not have it. */
  function admit({ url, headers }: IncomingMessage): InstanceId {
    const wanted = URL.parse(url ?? '', 'http://node');
    if (wanted?.pathname !== consolePath) throw new HttpError(404, 'not_found', 'there is no WebSocket here');
    if (!sameOrigin(headers)) throw new HttpError(403, 'denied', 'a page of another origin may not do this');
    if ((upgrades?.clients.size ?? 0) >= maxSockets) throw new HttpError(429, 'busy', 'too many console connections');
    const instance = desk.redeem(wanted.searchParams.get('token') ?? '');
    if (instance !== undefined) return instance;
    throw new HttpError(401, 'denied', 'the token is not known, too old, or was used before');
  }

  async function onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {}); // it is gone already
    try {
      const server = await load();
      const instance = admit(request);
      server.handleUpgrade(request, socket, head, (client) => void seat(client, instance));
    } catch (error) {
      if (!(error instanceof HttpError)) log.error('a console cannot be opened', { error });
      const problem = error instanceof HttpError ? error : new HttpError(500, 'internal', 'opening the console failed');
      socket.end(rawProblem(problem), () => socket.destroy()); // HTTP's deadlines no longer hold for it
    }
  }

  async function seat(client: WebSocket, instance: InstanceId): Promise<void> {
    const early: { readonly data: RawData; readonly binary: boolean }[] = [];
    let place: ConsoleSeat | null = null;
    const timer = clock.timer(sessionMs, () => client.close(policy, 'the time of this connection is over'));
    client.on('error', (error) => log.debug('console connection failed', { error }));
    client.on('message', (data, binary) => {
      if (place === null) early.push({ data, binary });
      else onMessage(place, data, binary);
    });
    client.on('close', () => {
      timer.cancel();
      place?.leave();
    });
    const past = await desk.history(instance, historyBytes).catch(() => Buffer.alloc(0));
    if (past.length > 0) client.send(past, { binary: true });
    if (client.readyState !== client.OPEN) return;
    place = desk.join(instance, {
      show(bytes) {
        if (client.readyState !== client.OPEN) return;
        client.send(bytes, { binary: true });
        if (client.bufferedAmount > maxWaitingBytes) client.terminate(); // too slow; it may come back
      },
      role: (writes) => client.send(JSON.stringify({ type: 'role', writes })),
      end: () => client.close(goingAway, "the console is no longer the instance's"),
    });
    if (place === null) return client.close(goingAway, 'the instance does not have the host');
    for (const { data, binary } of early) onMessage(place, data, binary);
  }

  function onMessage(place: ConsoleSeat, data: RawData, binary: boolean): void {
    const bytes = Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
    if (binary) place.type(bytes);
    else if (isTake(bytes)) place.take();
  }

  return {
    serve: (server) => void server.on('upgrade', (...upgrade) => void onUpgrade(...upgrade)),
    close() {
      const server = upgrades;
      if (server === undefined) return;
      for (const client of server.clients) client.close(goingAway, 'the node stops');
      clock.timer(closeMs, () => {
        for (const client of server.clients) client.terminate();
      });
      server.close();
    },
  };
}

/** Browsers say where a page is from; other programs say nothing. */
function sameOrigin(headers: IncomingHttpHeaders): boolean {
  if (headers.origin === undefined) return true;
  return URL.parse(headers.origin)?.host === headers.host;
}

function isTake(bytes: Buffer): boolean {
  try {
    return (JSON.parse(bytes.toString('utf8')) as { type?: unknown } | null)?.type === 'take';
  } catch {
    return false; // not ours; ignored, as an unknown type is
  }
}
