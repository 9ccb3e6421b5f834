import { createRpcClient, createRpcServer, createTransport, type Logger, type QueueFlags } from 'oslo-messaging';
import { DpuError } from '../../core/errors.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { ComputeService } from '../../core/ports/compute-service.ts';
import type { Log } from '../../core/ports/log.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { PlatformAdapter } from '../../core/ports/platform-adapter.ts';
import type { Random } from '../../core/ports/random.ts';
import { platformEndpoint, rpcVersion } from './endpoint.ts';
import { type Reporter, startReporter } from './reporter.ts';

/** The part `amqp` of the configuration, defaults filled in. */
export interface AmqpSettings {
  readonly exchange: string;
  readonly topic: string;
  readonly platform_topic: string;
  readonly durable_queues: boolean;
  readonly auto_delete: boolean;
  readonly quorum_queues: boolean;
  readonly transient_queues_ttl_s: number;
  readonly heartbeat_s: number;
  readonly prefetch: number;
  readonly max_body_bytes: number;
}

/** What the adapter works with. */
export interface AmqpAdapterParts {
  readonly service: ComputeService;
  readonly outbox: Pick<NodeStore, 'casts' | 'castDelivered' | 'onCommit' | 'reportAllInstances'>;
  readonly config: AmqpSettings;
  readonly reportIntervalMs: number;
  /** oslo.messaging's transport_url, with the password. */
  readonly transportUrl: string;
  /** Requests for this node come to `<topic>.<hostname>`. */
  readonly hostname: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * How long an answer that nobody takes is tried again: a caller needs some seconds to declare its queue anew after a
 * broker lost it, and callers that went away for good must not hold up those that come.
 */
const replyRetryMs = 30_000;

/** The platform RPC of this project over RabbitMQ, in the oslo.messaging dialect. */
export function createAmqpAdapter(parts: AmqpAdapterParts): PlatformAdapter {
  const { config, service } = parts;
  const log = parts.log.child({ adapter: 'amqp' });
  const flags: QueueFlags = {
    durableQueues: config.durable_queues,
    autoDelete: config.auto_delete,
    quorumQueues: config.quorum_queues,
    transientQueuesTtlSec: config.transient_queues_ttl_s,
  };
  let running: (Pick<Reporter, 'flush'> & Pick<PlatformAdapter, 'stop' | 'connected'>) | undefined;

  function begin(): NonNullable<typeof running> {
    const transport = createTransport({
      url: parts.transportUrl,
      heartbeatSec: config.heartbeat_s,
      connectionName: `soc-daemon:${parts.hostname}`,
      logger: pinoLike(log),
      random: parts.random.unit,
    });
    const server = createRpcServer({
      ...flags,
      transport,
      exchange: config.exchange,
      topic: config.topic,
      server: parts.hostname,
      endpoints: [platformEndpoint(service)],
      prefetch: config.prefetch,
      replyRetryMs,
      maxBodyBytes: config.max_body_bytes,
      onHandlerError: (error, { method }) => {
        const cause = error instanceof Error ? error.cause : error;
        if (cause instanceof DpuError && cause.code !== 'internal')
          log.debug('request failed', { method, error: cause });
        else log.error('request failed for an inner reason', { method, error: cause ?? error });
      },
      onBadMessage: (reason) => log.warn('message is not understood', { reason }),
    });
    const client = createRpcClient({
      ...flags,
      transport,
      exchange: config.exchange,
      topic: config.platform_topic,
      version: rpcVersion,
    });
    const reporter: Reporter = startReporter({ ...parts, client, log });
    let away = false;
    let refusing = false;
    const noteAway = (error: Error | null): void => {
      if (!away) log.warn('broker is away; the node works on and tries again', { error });
      away = true;
    };
    const subscriptions = [
      transport.on('connected', () => {
        log.info('broker is connected');
        away = false;
        refusing = false;
        reporter.reconnected();
      }),
      transport.on('disconnected', ({ error }) => noteAway(error)),
      transport.on('error', (error) => {
        if (transport.state !== 'connected') noteAway(error);
        else if (!refusing) {
          refusing = true;
          log.warn('the broker refuses a queue or an exchange; are the settings as the platform has them?', { error });
        }
      }),
    ];
    return {
      connected: () => transport.state === 'connected',
      flush: (signal) => reporter.flush(signal),
      async stop(drainMs) {
        for (const unsubscribe of subscriptions) unsubscribe();
        await server.stop({ drainMs });
        await reporter.stop();
        await client.close();
        await transport.close();
      },
    };
  }

  return {
    name: 'amqp',
    async start() {
      running ??= begin();
    },
    async stop(drainMs) {
      const stopping = running;
      running = undefined;
      await stopping?.stop(drainMs);
    },
    async flush(signal) {
      await running?.flush(signal);
    },
    connected: () => running?.connected() ?? false,
  };
}

/** The package's logger says fields first, ours the message. What an operator should know of is told by the events, once. */
function pinoLike(log: Log): Logger {
  return {
    debug: (fields, message) => log.debug(message, fields),
    info: (fields, message) => log.debug(message, fields),
    warn: (fields, message) => log.debug(message, fields),
    error: (fields, message) => log.error(message, fields),
  };
}
