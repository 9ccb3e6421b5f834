/** The life of a node beside its instances, on a virtual DPU: BIOS settings, a SoC that is reflashed, leaving and joining. */
import { readFile } from 'node:fs/promises';
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
