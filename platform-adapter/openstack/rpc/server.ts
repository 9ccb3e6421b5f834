import {
  createRpcServer,
  type Endpoint,
  type Handler,
  type QueueFlags,
  RpcFailure,
  type RpcServer,
  type Transport,
} from 'oslo-messaging';
import { DpuError } from '../../../core/errors.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { FlowService } from '../flows/service.ts';
import type { NovaRpc } from '../wire/conductor.ts';
import { type ReceivedContext, readContext } from '../wire/context.ts';
import { novaFailure } from '../wire/nova-errors.ts';
import type { Release } from '../wire/releases.ts';
import { readableArguments } from './later-objects.ts';

/** Answers one call of nova; what it answers is sent as it is. */
export type CallHandler = (
  args: Readonly<Record<string, unknown>>,
  call: { readonly received: ReceivedContext; readonly uniqueId: string | null; readonly signal: AbortSignal },
) => Promise<unknown>;

/** What nova's compute RPC is served with. */
export interface ComputeRpcParts {
  readonly transport: Transport;
  readonly flags: QueueFlags;
  readonly release: Release;
  /** Brings objects of later releases back. */
  readonly nova: Pick<NovaRpc, 'conductor'>;
  /** nova's host: requests come to `compute.<host>`. */
  readonly host: string;
  readonly prefetch: number;
  readonly maxBodyBytes: number;
  readonly flows: Pick<FlowService, 'accept' | 'settled'>;
  /** Methods that are casts and become flows. */
  readonly casts: readonly string[];
  /** Methods that are answered, and casts that are no flows. */
  readonly calls: Readonly<Record<string, CallHandler>>;
  readonly log: Log;
}

/** How long an answer that nobody takes is tried again; nova's callers wait 60 s. */
const replyRetryMs = 30_000;

/** The compute RPC before 6.0 that releases since Zed's predecessor may still ask for. */
const olderVersion = '5.13';

/** Methods of compute RPC: a cast is acknowledged to the broker when its flow is journaled, a call when it was answered. */
export function computeEndpoints(
  parts: Pick<ComputeRpcParts, 'flows' | 'casts' | 'calls' | 'release' | 'nova' | 'log'>,
): readonly Endpoint[] {
  const ofOurs = (args: Readonly<Record<string, unknown>>, received: ReceivedContext, signal: AbortSignal) =>
    readableArguments(
      args,
      parts.release,
      () => parts.nova.conductor({ context: received.context, signal }),
      parts.log,
    );
  const cast =
    (method: string): Handler =>
    async (sent, context) => {
      try {
        const received = readContext(context.context);
        const args = await ofOurs(sent, received, context.signal);
        const { id } = await parts.flows.accept({ method, args, received, uniqueId: context.uniqueId });
        context.ack();
        // nova's API calls what it otherwise casts where it must not go on before (confirm_resize within a delete)
        if (context.kind === 'call') await parts.flows.settled(id, context.signal);
        return null;
      } catch (error) {
        throw novaFailure(error);
      }
    };
  const call =
    (handler: CallHandler): Handler =>
    async (sent, { context, uniqueId, signal }) => {
      try {
        const received = readContext(context);
        return await handler(await ofOurs(sent, received, signal), { received, uniqueId, signal });
      } catch (error) {
        throw novaFailure(error);
      }
    };
  const methods: Readonly<Record<string, Handler>> = {
    ...Object.fromEntries(parts.casts.map((method) => [method, cast(method)])),
    ...Object.fromEntries(Object.entries(parts.calls).map(([method, handler]) => [method, call(handler)])),
  };
  return [
    { version: parts.release.rpc.compute, methods },
    { version: olderVersion, methods },
    {
      version: '1.1',
      namespace: 'baseapi',
      methods: {
        ping: ({ arg }) => Promise.resolve({ service: 'compute', arg: arg ?? null }),
        get_backdoor_port: () => Promise.resolve(null),
      },
    },
  ];
}

/** Serves nova's compute RPC on `compute`, `compute.<host>` and a fanout queue, until it is stopped. */
export function serveCompute(parts: ComputeRpcParts): RpcServer {
  const { log } = parts;
  return createRpcServer({
    ...parts.flags,
    transport: parts.transport,
    exchange: 'nova',
    topic: 'compute',
    server: parts.host,
    endpoints: computeEndpoints(parts),
    prefetch: parts.prefetch,
    maxBodyBytes: parts.maxBodyBytes,
    replyRetryMs,
    onHandlerError: (error, { method }) => {
      const cause = error instanceof Error ? error.cause : error;
      // a failure without a cause was worded for nova: what this node can't do
      const meant = error instanceof RpcFailure && cause === undefined;
      if (meant || (cause instanceof DpuError && cause.code !== 'internal'))
        log.info('a request of nova was refused', { method, error: cause ?? error });
      else log.error('a request of nova failed for an inner reason', { method, error: cause ?? error });
    },
    onBadMessage: (reason) => log.warn('a message of nova is not understood', { reason }),
  });
}
