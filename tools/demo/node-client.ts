/** The node as a platform drives it: over AMQP, or over REST where there is no broker. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcClient, createTransport, MessagingError } from 'oslo-messaging';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { NodeStatus } from '../../schemas/generated/node-status.ts';
import type { Operation } from '../../schemas/generated/operation.ts';
import type { BindingList, DashboardAccess, FunctionList } from '../../schemas/generated/rest.ts';
import { createClient } from '../../soc-daemon/cli/client.ts';
import { DemoError } from './demo-error.ts';
import { NODE } from './layout.ts';

/** A build, in the words of the RPC and of REST. */
export interface BuildRequest {
  readonly uuid: string;
  readonly name: string;
  readonly image: string;
  readonly flavor: string;
  readonly networks: readonly { readonly subnet: string }[];
  readonly volumes: readonly { readonly volume_id: string }[];
  readonly userdata?: string;
}

/** The calls that the demo makes. */
export interface NodeClient {
  /** How it talks, for people. */
  readonly way: string;
  status(): Promise<NodeStatus>;
  build(request: BuildRequest): Promise<Operation>;
  destroy(uuid: string): Promise<Operation>;
  operation(id: string): Promise<Operation>;
  operations(): Promise<readonly Operation[]>;
  instance(uuid: string): Promise<Instance>;
  instances(): Promise<readonly Instance[]>;
  close(): Promise<void>;
}

/** Drives the node through the broker. */
export function amqpNode(url: string): NodeClient {
  const transport = createTransport({ url, connectionName: 'demo platform' });
  const client = createRpcClient({ transport, exchange: NODE.exchange, topic: 'compute', server: NODE.hostname });
  const call = async <Answer>(method: string, args: Readonly<Record<string, unknown>> = {}): Promise<Answer> =>
    (await client.call(method, args, { timeoutMs: 20_000 })) as Answer;
  return {
    way: 'over AMQP',
    status: () => call('report_node_status'),
    build: async (request) =>
      (await call<{ operation: Operation }>('build_and_run_instance', { ...request })).operation,
    destroy: async (uuid) => (await call<{ operation: Operation }>('destroy_instance', { uuid })).operation,
    operation: (id) => call('get_operation', { id }),
    operations: async () => (await call<{ operations: Operation[] }>('list_operations', { limit: 100 })).operations,
    instance: (uuid) => call('get_instance', { uuid }),
    instances: async () => (await call<{ instances: Instance[] }>('list_instances')).instances,
    async close() {
      await client.close();
      await transport.close();
    },
  };
}

/** Waits until the node answers through the broker: it may be ready before it has found it. @throws DemoError */
export async function waitForAmqp(url: string, signal: AbortSignal): Promise<void> {
  const transport = createTransport({ url, connectionName: 'demo platform' });
  const client = createRpcClient({ transport, exchange: NODE.exchange, topic: 'compute', server: NODE.hostname });
  const deadline = performance.now() + 30_000;
  try {
    for (;;) {
      try {
        await client.call('report_node_status', {}, { mandatory: true, timeoutMs: 5000, signal });
        return;
      } catch (error) {
        if (!(error instanceof MessagingError)) throw error;
        if (performance.now() > deadline) throw new DemoError('the node does not answer through the broker');
        await sleep(50, undefined, { signal });
      }
    }
  } finally {
    await client.close();
    await transport.close();
  }
}

/** What the REST interface alone shows. */
export interface RestNode extends NodeClient {
  functions(): Promise<FunctionList['functions']>;
  bindings(): Promise<BindingList['bindings']>;
  /** Where its TCP listener is. */
  tcpUrl(): Promise<string>;
  /** An address that lets a browser in, once. */
  dashboard(): Promise<string>;
  consoleLog(uuid: string): Promise<string>;
  attachInterface(uuid: string, subnet: string): Promise<Operation>;
  snapshot(uuid: string, volume: string): Promise<Operation>;
  reboot(uuid: string): Promise<Operation>;
  /** Whether it answers, and is ready; why not, in words. */
  readiness(): Promise<{ readonly ready: boolean; readonly why: string }>;
}

/** Drives the node through its unix socket. */
export function restNode(socket: string): RestNode {
  const client = createClient({ socket });
  const ask = async <Answer>(method: string, path: string, body?: unknown): Promise<Answer> =>
    (await client.ask(method, path, body)) as Answer;
  return {
    way: 'over REST',
    status: () => ask('GET', '/v1/node'),
    build: (request) => ask('POST', '/v1/instances', request),
    destroy: (uuid) => ask('DELETE', `/v1/instances/${uuid}`),
    operation: (id) => ask('GET', `/v1/operations/${id}`),
    operations: async () => (await ask<{ operations: Operation[] }>('GET', '/v1/operations?limit=100')).operations,
    instance: (uuid) => ask('GET', `/v1/instances/${uuid}`),
    instances: async () => (await ask<{ instances: Instance[] }>('GET', '/v1/instances')).instances,
    functions: async () => (await ask<FunctionList>('GET', '/v1/functions')).functions,
    bindings: async () => (await ask<BindingList>('GET', '/v1/bindings')).bindings,
    tcpUrl: async () => new URL((await ask<DashboardAccess>('POST', '/v1/dashboard', {})).url).origin,
    dashboard: async () => (await ask<DashboardAccess>('POST', '/v1/dashboard', {})).url,
    consoleLog: async (uuid) => (await client.text(`/v1/instances/${uuid}/console/log`)).toString('utf8'),
    attachInterface: (uuid, subnet) => ask('POST', `/v1/instances/${uuid}/interfaces`, { network: { subnet } }),
    snapshot: (uuid, volume) => ask('POST', `/v1/instances/${uuid}/snapshots`, { volume_id: volume }),
    reboot: (uuid) => ask('POST', `/v1/instances/${uuid}/actions/reboot`, { type: 'hard' }),
    async readiness() {
      const { body } = await client.askAny('GET', '/readyz');
      const { ready = false, reasons = [] } = body as { ready?: boolean; reasons?: { message: string }[] };
      return { ready, why: reasons.map((each) => each.message).join('; ') };
    },
    close: () => Promise.resolve(),
  };
}
