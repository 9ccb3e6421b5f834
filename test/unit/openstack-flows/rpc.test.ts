import type { CallContext } from 'oslo-messaging';
import { describe, expect, it } from 'vitest';
import { DpuError } from '../../../core/errors.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { computeEndpoints } from '../../../platform-adapter/openstack/rpc/server.ts';
import type { FlowRecord } from '../../../platform-adapter/openstack/store.ts';
import { novaError } from '../../../platform-adapter/openstack/wire/nova-errors.ts';
import { releaseOf } from '../../../platform-adapter/openstack/wire/releases.ts';

/** Endpoints whose flows are noted, and what happened in which order. */
function scene(accept: (method: string) => void = () => {}) {
  const happened: string[] = [];
  const endpoints = computeEndpoints({
    flows: {
      async accept({ method, uniqueId, received }) {
        accept(method);
        await Promise.resolve();
        happened.push(`journaled ${method} ${uniqueId} ${received.context.request_id}`);
        return { id: 'flow' } as unknown as FlowRecord;
      },
      settled: async () => {},
    },
    casts: ['stop_instance'],
    calls: {
      get_diagnostics: () => Promise.reject(novaError('InstanceNotFound', { instance_id: 'gone' })),
      get_host_uptime: async (args) => args,
    },
    release: releaseOf('zed'),
    nova: { conductor: () => Promise.reject(new Error('nothing is to be brought back')) as never },
    log: silentLog,
  });
  const context = (kind: 'call' | 'cast', request = true) =>
    ({
      kind,
      context: request ? { request_id: 'req-1' } : {},
      uniqueId: 'u1',
      signal: new AbortController().signal,
      ack: () => happened.push('acknowledged'),
    }) as unknown as CallContext;
  return { endpoints, happened, context };
}

describe('compute RPC', () => {
  it('offers what every caller of Zed asks for, and the ping', async () => {
    const { endpoints, context } = scene();
    expect(endpoints.map(({ version, namespace = null }) => [version, namespace])).toEqual([
      ['6.1', null],
      ['5.13', null],
      ['1.1', 'baseapi'],
    ]);
    const ping = endpoints[2]?.methods.ping;
    expect(await ping?.({ arg: 'hello' }, context('call'))).toEqual({ service: 'compute', arg: 'hello' });
  });

  it('acknowledges a cast once its flow is journaled, and not when it could not be', async () => {
    const one = scene();
    await one.endpoints[0]?.methods.stop_instance?.({}, one.context('cast'));
    expect(one.happened).toEqual(['journaled stop_instance u1 req-1', 'acknowledged']);

    const other = scene(() => {
      throw new DpuError('internal', 'the disk is full');
    });
    await expect(other.endpoints[0]?.methods.stop_instance?.({}, other.context('cast'))).rejects.toMatchObject({
      rpcModule: 'nova.exception',
    });
    expect(other.happened).toEqual([]);
  });

  it('refuses a request without an id, and fails as nova’s classes', async () => {
    const { endpoints, context, happened } = scene();
    await expect(endpoints[0]?.methods.stop_instance?.({}, context('cast', false))).rejects.toMatchObject({
      rpcClass: 'Invalid',
    });
    expect(happened).toEqual([]);
    await expect(endpoints[0]?.methods.get_diagnostics?.({}, context('call'))).rejects.toMatchObject({
      rpcClass: 'InstanceNotFound',
      rpcModule: 'nova.exception',
      message: 'Instance gone could not be found.',
    });
    expect(await endpoints[0]?.methods.get_host_uptime?.({ a: 1 }, context('call'))).toEqual({ a: 1 });
  });
});
