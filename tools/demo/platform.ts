import { connect } from 'amqplib';
import { createRpcServer, createTransport } from 'oslo-messaging';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import { NODE } from './layout.ts';
import type { Screen } from './screen.ts';

/** The platform's side of the reports: an RPC server that receives the node's casts. */
export interface Platform {
  /** Resolves once a report tells of the instance in this state. @throws the signal's reason */
  hears(uuid: string, state: Instance['state'], signal: AbortSignal): Promise<void>;
  /** Stops, and removes its queues, so that the next platform finds none of our post. */
  close(): Promise<void>;
}

const TOPIC = 'platform';
const SERVER = 'demo-platform';

/** Receives reports and shows each on a line; ready when it resolves. */
export async function startPlatform(url: string, screen: Screen, signal: AbortSignal): Promise<Platform> {
  const heard = new Set<string>();
  let tell = (): void => {};
  const transport = createTransport({ url, connectionName: SERVER });
  const last = new Map<string, string>();
  /** Reports that say nothing new to a reader, of a step or a generation, are not shown. */
  const show = (about: string, text: string): void => {
    if (last.get(about) === text) return;
    last.set(about, text);
    screen.line(`  ${screen.paint('cyan', '<- report')}  ${text}`);
  };
  const server = createRpcServer({
    transport,
    exchange: NODE.exchange,
    topic: TOPIC,
    server: SERVER,
    endpoints: [
      {
        version: '1.0',
        methods: {
          async report_node_status(args) {
            const { hostname, ready, host_power, used_cpu, total_cpu } = args as unknown as NodeStatus;
            show(
              'node',
              `node ${hostname}: ${ready ? 'ready' : 'not ready'}, host ${host_power}, CPUs ${used_cpu}/${total_cpu}`,
            );
          },
          async report_instance_status(args) {
            const { uuid, name, state, status, task } = args as unknown as Instance;
            show(uuid, `instance ${name}: ${state} (${status})${task === null ? '' : `, ${task.kind} runs`}`);
            heard.add(`${uuid} ${state}`);
            tell();
          },
        },
      },
    ],
  });
  await server.ready(signal);
  return {
    async hears(uuid, state, until) {
      while (!heard.has(`${uuid} ${state}`)) {
        until.throwIfAborted();
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const giveUp = (): void => reject(until.reason);
        tell = resolve;
        until.addEventListener('abort', giveUp, { once: true });
        await promise.finally(() => until.removeEventListener('abort', giveUp));
      }
    },
    async close() {
      await server.stop({ drainMs: 2000 });
      await transport.close();
      await deleteQueues(url, [TOPIC, `${TOPIC}.${SERVER}`]);
    },
  };
}

async function deleteQueues(url: string, queues: readonly string[]): Promise<void> {
  const connection = await connect(url.replace(/^rabbit:/, 'amqp:'));
  try {
    const channel = await connection.createChannel();
    for (const queue of queues) await channel.deleteQueue(queue);
  } finally {
    await connection.close();
  }
}
