/** The life of a node beside its instances, on a virtual DPU: BIOS settings, a SoC that is reflashed, leaving and joining. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createRpcClient, createRpcServer, createTransport } from 'oslo-messaging';
import { connectRedfish, findSystem, setBios } from 'redfish-client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Instance } from '../../schemas/generated/instance.ts';
import type { BiosReport, HealthReport } from '../../schemas/generated/rest.ts';
import { NODE } from '../../tools/demo/layout.ts';
import { canHaveVirtualNodes, startVirtualNode, type VirtualNode } from '../support/virtual-node.ts';
import { until } from '../support/wait.ts';

const build = {
  name: 'one',
  flavor: NODE.flavor,
  image: NODE.image,
  networks: [{ subnet: NODE.subnet }],
};

describe.skipIf(!canHaveVirtualNodes('the life of a node'))('the life of a node', () => {
  let node: VirtualNode;
  beforeAll(async () => {
    node = await startVirtualNode();
  }, 180_000);
  afterAll(() => node?.close(), 60_000);
  beforeEach(() => node.ready());

  const ask = async <Answer>(path: string): Promise<Answer> => (await node.rest.ask('GET', path)) as Answer;
  const bios = () => ask<BiosReport>('/v1/bios');
  const checks = async () =>
    Object.fromEntries((await ask<HealthReport>('/v1/health')).checks.map(({ id, state }) => [id, state]));

  const dpuctl = (...words: readonly string[]) =>
    promisify(execFile)(
      process.execPath,
      [join(import.meta.dirname, '../../soc-daemon/cli/main.ts'), '--socket', node.layout.socket, ...words],
      { timeout: 60_000 },
    );

  /** Asks the BMC for settings as the firmware's menu leaves them: in force after the next reset. */
  async function change(settings: Readonly<Record<string, boolean | number>>): Promise<void> {
    const { username, passwordFile, redfish } = node.dpu.bmc;
    const password = (await readFile(passwordFile, 'utf8')).trim();
    const client = connectRedfish({
      url: redfish.url,
      auth: { kind: 'basic', username, password },
      tls: { fingerprints: [redfish.fingerprint] },
    });
    try {
      await setBios(client, await findSystem(client), settings);
    } finally {
      await client.close();
    }
  }

  it('looks at all its parts and finds them well', async () => {
    await until('the broker is seen', async () => (await checks()).broker === 'ok', 30_000);
    const found = await checks();
    for (const id of [
      'bmc',
      'snic',
      'ovs',
      'storage',
      'volumes',
      'networks',
      'card-access',
      'disk',
      'bios',
      'broker',
    ]) {
      expect(found[id], id).toBe('ok');
    }
  });

  it("puts back at release what the tenant changed in the BIOS, and the next tenant's host has it", {
    timeout: 300_000,
  }, async () => {
    expect(await bios()).toMatchObject({ controlled: true, baseline: 'captured', differing: [], unsafe: [] });
    const { instance } = await node.succeed('build_and_run_instance', build);
    await change({ SlotPower: false, NumaNodes: 4 });
    await node.succeed('reboot_instance', { uuid: instance, type: 'hard' });
    await until('the tenant’s settings are in force', async () =>
      (await bios()).differing.some(({ now }) => now === 4),
    );
    expect((await ask<Instance>(`/v1/instances/${instance}`)).state).toBe('active');
    const gone = await node.succeed('destroy_instance', { uuid: instance });
    expect(gone.steps.find(({ name }) => name === 'host:bios-restore')?.phase).toBe('done');
    expect((await bios()).differing).toEqual([
      { name: 'SlotPower', baseline: true, now: false, next: true },
      { name: 'NumaNodes', baseline: 1, now: 4, next: 1 },
    ]);
    expect((await bios()).unsafe).toEqual([]);
    const next = await node.succeed('build_and_run_instance', build);
    await until('the baseline is in force', async () => (await bios()).differing.length === 0);
    await node.succeed('destroy_instance', { uuid: next.instance });
    await node.clean();
  });

  it('is itself again after its SoC was reflashed: the same node, the same instance', {
    timeout: 300_000,
  }, async () => {
    const { instance } = await node.succeed('build_and_run_instance', build);
    const before = {
      node: await node.status(),
      instance: await node.instance(instance),
      functions: await node.functions(),
    };
    const file = join(node.layout.dir, 'identity.json');
    const key = join(node.layout.state, 'store.key');
    await dpuctl('identity', 'export', file, '--store-key', key);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const kept = await readFile(key, 'utf8');
    await node.kill('daemon');
    await node.forgetStore();
    await dpuctl('identity', 'import', file, '--state-dir', node.layout.state);
    await node.repair();
    await node.ready();
    expect(await readFile(key, 'utf8')).toBe(kept);
    const after = await node.status();
    expect([after.uuid, after.hostname]).toEqual([before.node.uuid, before.node.hostname]);
    expect(await node.instance(instance)).toMatchObject({ state: 'active', name: before.instance.name });
    const addresses = (all: Awaited<ReturnType<VirtualNode['functions']>>) =>
      all.map(({ id, bdf, plugged }) => `${id} ${bdf} ${plugged}`).sort();
    expect(addresses(await node.functions())).toEqual(addresses(before.functions));
    expect(await bios()).toMatchObject({ baseline: 'captured', differing: [] });
    await expect(stat(join(node.layout.state, 'identity.import'))).rejects.toMatchObject({ code: 'ENOENT' });
    await node.kill('daemon');
    await writeFile(file, (await readFile(file, 'utf8')).replace(after.uuid, randomUUID()));
    await expect(dpuctl('identity', 'import', file, '--state-dir', node.layout.state)).rejects.toMatchObject({
      stderr: expect.stringContaining('has instances or operations'),
    });
    await node.repair();
    await node.succeed('destroy_instance', { uuid: instance });
    await node.clean();
  });

  it('leaves its platform with a last word, stays out over a restart, and joins again', {
    timeout: 180_000,
  }, async () => {
    const url = (await readFile(node.layout.transportUrl, 'utf8')).trim();
    const transport = createTransport({ url, connectionName: 'platform of the test' });
    const heard: { readonly ready: boolean; readonly not_ready_reasons: readonly { readonly id: string }[] }[] = [];
    const { exchange, hostname } = NODE;
    const report_node_status = async (status: unknown) => void heard.push(status as never);
    const endpoint = { version: '1.0', methods: { report_node_status, report_instance_status: async () => undefined } };
    const server = createRpcServer({ transport, exchange, topic: 'platform', server: 'test', endpoints: [endpoint] });
    const client = createRpcClient({ transport, exchange, topic: 'compute', server: hostname });
    await server.ready(AbortSignal.timeout(30_000));
    const answers = () =>
      client.call('report_node_status', {}, { timeoutMs: 3000 }).then(
        () => true,
        () => false, // nobody takes it
      );
    try {
      expect(await answers()).toBe(true);
      await dpuctl('node', 'leave', '--reason', 'sold');
      await until('the last word arrives', async () =>
        heard.at(-1)?.not_ready_reasons.some(({ id }) => id === 'leaving'),
      );
      expect(heard.at(-1)?.ready).toBe(false);
      expect(await answers()).toBe(false);
      await node.kill('daemon');
      await node.repair({ isMember: false });
      const reasons = async () => (await node.status()).not_ready_reasons.map(({ id }) => id);
      expect(await reasons()).toContain('leaving');
      await until('it is up', async () => (await reasons()).join() === 'leaving', 60_000);
      expect(await answers()).toBe(false);
      await dpuctl('node', 'join');
      await until('it answers again', answers, 60_000);
      await until('it is told to be ready', async () => heard.at(-1)?.ready, 60_000);
    } finally {
      await server.stop({ drainMs: 0 });
      await client.close();
      await transport.close();
    }
  });

  it('refuses a build whose host would not start from the card', { timeout: 300_000 }, async () => {
    await change({ SriovEnabled: false });
    const failed = await node.operate('build_and_run_instance', build);
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'bad_state', step: 'host:bios-check' } });
    await until('the node is not ready for that', async () =>
      (await node.status()).not_ready_reasons.some(({ id }) => id === 'bios-unsafe'),
    );
    await node.rest.ask('POST', '/v1/bios/restore');
    await node.ready();
    await node.succeed('destroy_instance', { uuid: failed.instance });
    await node.clean();
  });
});
