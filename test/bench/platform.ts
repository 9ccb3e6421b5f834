/** The platform's side: it asks for instances over AMQP and takes the node's reports. */
import { randomUUID } from 'node:crypto';
import { createRpcClient, createRpcServer, createTransport } from 'oslo-messaging';
import type { Operation } from '../../schemas/generated/operation.ts';
import { names } from './scene.ts';

/** A platform that is connected. */
export interface Platform {
  /** Builds an instance and waits for its end; answers its uuid. */
  build(): Promise<string>;
  /** Takes it away and waits for the end. */
  destroy(uuid: string): Promise<void>;
  /** Reports that arrived so far. */
  reports(): number;
  close(): Promise<void>;
}

/** Connects; ready when it resolves. */
export async function connectPlatform(url: string): Promise<Platform> {
  const transport = createTransport({ url, connectionName: 'bench platform' });
  const client = createRpcClient({ transport, exchange: names.exchange, topic: 'compute', server: names.hostname });
  let reports = 0;
  const count = async (): Promise<void> => {
    reports += 1;
  };
  const server = createRpcServer({
    transport,
    exchange: names.exchange,
    topic: 'platform',
    server: 'bench-platform',
    endpoints: [{ version: '1.0', methods: { report_node_status: count, report_instance_status: count } }],
  });
  await server.ready(AbortSignal.timeout(30_000));

  async function change(method: string, args: Readonly<Record<string, unknown>>): Promise<void> {
    const { operation } = (await client.call(method, { ...args, wait: true }, { timeoutMs: 60_000 })) as {
      operation: Operation;
    };
    if (operation.state !== 'succeeded') throw new Error(`${method} ended as ${operation.state}`);
  }

  return {
    async build() {
      const uuid = randomUUID();
      const { flavor, image, subnet } = names;
      await change('build_and_run_instance', {
        uuid,
        name: 'bench',
        flavor,
        image,
        networks: [{ subnet }],
        volumes: [],
      });
      return uuid;
    },
    destroy: (uuid) => change('destroy_instance', { uuid }),
    reports: () => reports,
    async close() {
      await server.stop({ drainMs: 1000 });
      await client.close();
      await transport.close();
    },
  };
}
