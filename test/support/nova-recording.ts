import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Json, JsonObject } from '../../core/units.ts';

/** A message of the RPC as it was recorded: a request of either side. */
export interface RecordedRequest {
  readonly method: string;
  readonly args: JsonObject;
  readonly version: string;
  readonly namespace: string | null;
  readonly uniqueId: string;
  /** Without the `_context_` prefix. */
  readonly context: JsonObject;
}

/** What nova-compute did or what was asked of it, in order. */
export type RecordedEvent =
  | {
      readonly kind: 'call' | 'cast';
      /** `nova/conductor`, `scheduler_fanout/`, `nova/compute.fake2`. */
      readonly to: string;
      readonly request: RecordedRequest;
      /** Of a call; null: the recording ended before. `failure` is JSON text. */
      readonly reply: { readonly result: unknown; readonly failure: string | null } | null;
    }
  | { readonly kind: 'inbound'; readonly queue: string; readonly isCall: boolean; readonly request: RecordedRequest }
  | { readonly kind: 'answer'; readonly result: unknown; readonly failure: string | null }
  | {
      readonly kind: 'http';
      readonly service: string;
      readonly method: string;
      /** With its query. */
      readonly path: string;
      readonly request: unknown;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly response: Json;
    };

/** A scenario of `test/fixtures/nova-wire`. */
export interface Recording {
  readonly name: string;
  readonly events: readonly RecordedEvent[];
}

type Frame = Readonly<Record<string, unknown>>;

const folder = path.join(import.meta.dirname, '../fixtures/nova-wire');

/** Reads a scenario: each call with its reply, whatever came in between. */
export function readRecording(name: string): Recording {
  const lines = gunzipSync(readFileSync(path.join(folder, `${name}.jsonl.gz`)))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .slice(1);
  const frames = lines.map((line) => JSON.parse(line) as Frame);
  const replies = new Map<string, Frame>();
  for (const frame of frames) {
    const inner = innerOf(frame);
    if (inner !== undefined && frame.method === 'basic.deliver' && !('method' in inner) && inner.ending === true)
      replies.set(String(inner._msg_id), inner);
  }
  return { name, events: frames.flatMap((frame) => eventOf(frame, replies)) };
}

function eventOf(frame: Frame, replies: ReadonlyMap<string, Frame>): readonly RecordedEvent[] {
  if (frame.via === 'http') {
    return [
      {
        kind: 'http',
        service: String(frame.service),
        method: String(frame.method),
        path: String(frame.path),
        request: frame.request ?? null,
        status: Number(frame.status),
        headers: (frame.response_headers ?? {}) as Readonly<Record<string, string>>,
        response: (frame.response ?? null) as Json,
      },
    ];
  }
  const inner = innerOf(frame);
  if (inner === undefined) return [];
  const isRequest = 'method' in inner;
  const isCall = typeof inner._msg_id === 'string';
  if (frame.method === 'basic.deliver')
    return isRequest ? [{ kind: 'inbound', queue: String(frame.routing_key), isCall, request: requestOf(inner) }] : [];
  if (!isRequest) return [{ kind: 'answer', result: inner.result, failure: inner.failure as string | null }];
  const reply = replies.get(String(inner._msg_id));
  return [
    {
      kind: isCall ? 'call' : 'cast',
      to: `${String(frame.exchange)}/${String(frame.routing_key)}`,
      request: requestOf(inner),
      reply: reply === undefined ? null : { result: reply.result, failure: reply.failure as string | null },
    },
  ];
}

function innerOf(frame: Frame): Frame | undefined {
  if (frame.method !== 'basic.publish' && frame.method !== 'basic.deliver') return undefined;
  const body = frame.body as Frame | undefined;
  const inner = body?.['oslo.message'];
  return typeof inner === 'object' && inner !== null ? (inner as Frame) : undefined;
}

function requestOf(inner: Frame): RecordedRequest {
  const prefix = '_context_';
  const context = Object.entries(inner).filter(([name]) => name.startsWith(prefix));
  return {
    method: String(inner.method),
    args: (inner.args ?? {}) as JsonObject,
    version: String(inner.version),
    namespace: typeof inner.namespace === 'string' ? inner.namespace : null,
    uniqueId: String(inner._unique_id),
    context: Object.fromEntries(context.map(([name, value]) => [name.slice(prefix.length), value])) as JsonObject,
  };
}

/** The first request of this method that was asked of nova-compute. Throws when there is none. */
export function inboundRequest(recording: Recording, method: string): RecordedRequest {
  for (const event of recording.events)
    if (event.kind === 'inbound' && event.request.method === method) return event.request;
  throw new Error(`nothing asks for ${method} in ${recording.name}`);
}
