/** What an operator does to a volume whose connection has changed: `nova-manage volume_attachment refresh`. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { restNode } from '../../tools/demo/node-client.ts';
import { configFile } from '../../tools/openstack/config-files.ts';
import { programEnvironment } from '../../tools/openstack/programs.ts';
import { liveServers } from './support/live.ts';
import { NODES, PEER } from './support/nodes.ts';

const { cloud, servers, volumes } = liveServers();

/** Runs it as on the control plane; a connector that Cinder refuses makes it fail in its middle. */
async function refresh(server: string, volume: string, connector: Readonly<Record<string, unknown>>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'connector-'));
  try {
    const file = join(dir, 'connector.json');
    await writeFile(file, JSON.stringify(connector));
    const config = ['--config-file', configFile(cloud.stack.layout, 'nova')];
    await promisify(execFile)('nova-manage', [...config, 'volume_attachment', 'refresh', server, volume, file], {
      env: programEnvironment(),
      timeout: 100_000,
    });
  } finally {
    await rm(dir, { recursive: true });
  }
}

it.skipIf(PEER !== 'ours')('a server starts with a volume that was attached anew, also where that failed', async () => {
  const id = await servers.create('vm', { networks: 'none' });
  await servers.until(id, 'ACTIVE');
  const data = await volumes.create(1);
  const body = { volumeAttachment: { volumeId: data } };
  await cloud.admin.call('compute', 'POST', `/servers/${id}/os-volume_attachments`, { body });
  await volumes.until(data, 'in-use');
  const attachment = async () => (await volumes.ofServer(id)).find(({ volumeId }) => volumeId === data)?.attachment_id;
  const onNode = async () =>
    (await restNode(cloud.node('vm').socket).instance(id)).volumes.map(({ volume_id: volume }) => volume);
  const connector = {
    host: NODES.vm.hostname,
    ip: '127.0.0.1',
    platform: 'x86_64',
    os_type: 'linux',
    multipath: false,
  };
  const initiator = 'iqn.2026-01.org.example:another';

  for (const [given, works] of [
    [{ ...connector, initiator }, true],
    [connector, false],
  ] as const) {
    await servers.act(id, { 'os-stop': null });
    await servers.until(id, 'SHUTOFF');
    const before = await attachment();
    const run = refresh(id, data, given);
    if (works) await run;
    else await expect(run).rejects.toThrow('initiator');
    expect(await attachment()).not.toBe(before);
    expect(await onNode()).not.toContain(data);
    await servers.act(id, { 'os-start': null });
    await servers.until(id, 'ACTIVE');
    expect(await onNode()).toContain(data);
    expect(await volumes.until(data, 'in-use')).toMatchObject({
      attachments: [{ server_id: id, host_name: NODES.vm.hostname, device: '/dev/vdb' }],
    });
  }
});
