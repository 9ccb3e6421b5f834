/** Whether a server that went through something has all that it should, in one place; and whether one that could not be built has nothing. */
import { expect } from 'vitest';
import { expectNothingLeft } from './leaks.ts';
import type { Live } from './live.ts';

/**
 * It is on the host with its address; its port is bound and up there, each of so many disks is attached there and nowhere else, and it has one place in Placement.
 * Answers its volumes.
 */
export async function expectWholeAt(
  { cloud, servers, volumes }: Live,
  id: string,
  host: string,
  disks = 1,
): Promise<readonly string[]> {
  const server = await servers.show(id);
  expect(server).toMatchObject({ 'OS-EXT-SRV-ATTR:host': host, 'OS-EXT-SRV-ATTR:hypervisor_hostname': host });
  expect(server.addresses).toMatchObject({ private: [{ version: 4 }] });
  await expect.poll(async () => (await servers.ports(id)).map(({ status }) => status)).toEqual(['ACTIVE']);
  expect(await servers.ports(id)).toMatchObject([{ 'binding:host_id': host, 'binding:vif_type': 'ovs' }]);
  const attached = (await volumes.ofServer(id)).map(({ volumeId }) => volumeId);
  expect(attached).toHaveLength(disks);
  for (const volume of attached) {
    expect(await volumes.until(volume, 'in-use')).toMatchObject({ attachments: [{ server_id: id, host_name: host }] });
  }
  const volumesOfAttachments = (await volumes.attachmentsOf(id)).map(({ volume_id: volume }) => volume);
  expect(volumesOfAttachments.toSorted()).toEqual(attached.toSorted());
  const { allocations } = await cloud.admin.call<{ allocations: object }>('placement', 'GET', `/allocations/${id}`);
  expect(Object.keys(allocations)).toHaveLength(1);
  return attached;
}

/** A build has failed: its server is in error, on no host, with this in its fault; and nothing is anywhere but what `kept` names. */
export async function expectFailedBuild(
  { cloud, servers }: Live,
  id: string,
  fault: string | RegExp,
  kept: readonly string[] = [],
): Promise<void> {
  await expect(servers.until(id, 'ACTIVE')).rejects.toThrow('is in ERROR');
  const server = await servers.show(id);
  expect(server.fault?.message).toMatch(fault);
  expect(server).toMatchObject({ 'OS-EXT-STS:task_state': null, 'OS-EXT-SRV-ATTR:host': null });
  await expectNothingLeft(cloud, [id, ...kept]);
}
