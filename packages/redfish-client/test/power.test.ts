import { expect, it } from 'vitest';
import {
  awaitTask,
  findSystem,
  listBootOptions,
  perform,
  readBios,
  readInventory,
  resetSystem,
  setBios,
  setBoot,
  setPower,
  TaskError,
  UnsupportedError,
  waitForPower,
} from '../src/index.ts';
import { SYSTEM } from './bmc/tree.ts';
import { bench } from './support.ts';

it.each(['inline', 'action-info', 'nowhere'] as const)(
  'brings power up and down, reset types %s',
  async (resetTypes) => {
    await using at = await bench({ resetTypes, powerReads: 3 });
    expect(await setPower(at.client, SYSTEM, 'on')).toEqual({ sent: 'On', powerState: 'On' });
    expect(await setPower(at.client, SYSTEM, 'on')).toEqual({ sent: undefined, powerState: 'On' });
    expect(await setPower(at.client, SYSTEM, 'soft-off')).toEqual({ sent: 'GracefulShutdown', powerState: 'Off' });
    expect(at.bmc.seen.filter(({ path }) => path.endsWith('.Reset'))).toHaveLength(2);
  },
);

it('sends nothing that is not offered', async () => {
  await using at = await bench();
  const system = await findSystem(at.client);
  await expect(resetSystem(at.client, system, 'Nmi')).rejects.toMatchObject({ code: 'unsupported' });
  await expect(setPower(at.client, SYSTEM, 'soft-restart')).rejects.toBeInstanceOf(UnsupportedError);
  await expect(setBoot(at.client, SYSTEM, { target: 'Floppy' })).rejects.toBeInstanceOf(UnsupportedError);
  await expect(setBoot(at.client, SYSTEM, { target: 'Pxe', mode: 'Legacy' })).rejects.toBeInstanceOf(UnsupportedError);
  expect(at.bmc.seen.filter(({ method, path }) => method === 'PATCH' || path.endsWith('.Reset'))).toEqual([]);
});

it('spells a reset as the service does', async () => {
  const row = { product: /^Simulated/, set: { resetSpelling: { ForceRestart: 'PowerCycle' } }, source: 'test' };
  await using at = await bench({}, { quirks: [row] });
  await setPower(at.client, SYSTEM, 'on');
  await setPower(at.client, SYSTEM, 'restart');
  expect(at.bmc.seen.filter(({ path }) => path.endsWith('.Reset')).at(-1)?.body).toEqual({ ResetType: 'PowerCycle' });
});

it('waits for power through 503 and lost connections, until the deadline', async () => {
  await using at = await bench({ powerReads: 1 }, { retries: 0 });
  await findSystem(at.client);
  at.bmc.addFault({ path: SYSTEM, times: 2, does: { kind: 'reset' } });
  at.bmc.addFault({ path: SYSTEM, times: 2, does: { kind: 'answer', status: 503 } });
  expect(await waitForPower(at.client, SYSTEM, 'Off')).toBe('Off');
  await expect(waitForPower(at.client, SYSTEM, 'On', { timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' });
});

it('sees a task through, and tells how it failed', async () => {
  await using at = await bench({ taskPolls: 3 });
  const states: string[] = [];
  const body = { ResetType: 'On' };
  const target = `${SYSTEM}/Actions/ComputerSystem.Reset`;
  const end = await perform(at.client, 'POST', target, { body, onProgress: ({ state }) => states.push(state) });
  expect(end.status).toBe(204);
  expect(states).toEqual(['Running', 'Running', 'Running', 'Running']);
  await using bad = await bench({ taskPolls: 1, taskEnd: 'Exception' });
  const failed = perform(bad.client, 'POST', target, { body });
  await expect(failed).rejects.toMatchObject({
    code: 'task-failed',
    state: 'Exception',
    messages: [{ messageId: 'Base.1.18.InternalError' }],
  });
  await expect(failed).rejects.toBeInstanceOf(TaskError);
});

it('bears a monitor that answers 503, and asks the task when the monitor is gone', async () => {
  await using at = await bench({ taskPolls: 2 }, { retries: 0 });
  const begun = await at.client.request('POST', `${SYSTEM}/Actions/ComputerSystem.Reset`, {
    body: { ResetType: 'On' },
  });
  at.bmc.addFault({ path: '/redfish/v1/TaskService/TaskMonitors/1', times: 2, does: { kind: 'answer', status: 503 } });
  at.bmc.addFault({ path: '/redfish/v1/TaskService/TaskMonitors/1', does: { kind: 'answer', status: 404 } });
  expect((await awaitTask(at.client, begun)).body['TaskState']).toBe('Completed');
  at.bmc.addFault({ path: '/redfish/v1/TaskService/Tasks/1', does: { kind: 'answer', status: 404 } });
  await expect(awaitTask(at.client, begun)).rejects.toMatchObject({ code: 'task-lost' });
});

it('sets the boot override directly, by settings, by reference', async () => {
  await using at = await bench();
  expect(await setBoot(at.client, SYSTEM, { target: 'Pxe', mode: 'UEFI' })).toMatchObject({
    seen: 'active',
    state: { enabled: 'Once', target: 'Pxe', mode: 'UEFI' },
  });
  const system = await findSystem(at.client);
  const { items } = await listBootOptions(at.client, system);
  expect(items.map(({ reference }) => reference)).toEqual(['Boot0001', 'Boot0002']);
  expect(items[1]?.related).toEqual([`${SYSTEM}/Storage/nvme/Drives/d0`]);
  const next = await setBoot(at.client, SYSTEM, { option: 'Boot0002' });
  expect(next.state).toMatchObject({ target: 'UefiBootNext', bootNext: 'Boot0002' });
  const always = await setBoot(at.client, SYSTEM, { option: 'Boot0002', enabled: 'Continuous' });
  expect(always.state.order).toEqual(['Boot0002', 'Boot0001']);
  await expect(setBoot(at.client, SYSTEM, { option: 'Boot0009' })).rejects.toMatchObject({
    allowed: ['Boot0001', 'Boot0002'],
  });
  expect((await setBoot(at.client, SYSTEM, { enabled: 'Disabled' })).state.enabled).toBe('Disabled');

  await using later = await bench({ bootInSettings: true });
  expect((await setBoot(later.client, SYSTEM, { target: 'Cd' })).seen).toBe('pending');
});

it('sends the mode along where the vendor needs it, and its own name for the CD', async () => {
  await using at = await bench({ vendor: 'Supermicro' });
  const boot = at.bmc.tree.get(SYSTEM)?.['Boot'] as Record<string, unknown>;
  boot['BootSourceOverrideTarget@Redfish.AllowableValues'] = ['Pxe', 'UsbCd', 'Cd'];
  await setBoot(at.client, SYSTEM, { target: 'Cd' });
  expect(boot).toMatchObject({ BootSourceOverrideTarget: 'UsbCd' });
  expect(at.bmc.seen.find(({ method }) => method === 'PATCH')?.body).toMatchObject({
    Boot: { BootSourceOverrideMode: 'UEFI' },
  });
});

it.each([
  {},
  { biosAnnotated: false, biosSettings: 'Pending', vendor: 'Lenovo' },
  { biosAnnotated: false, biosSettings: 'SD', vendor: 'AMI', needIfMatch: true },
])('keeps BIOS changes pending until the start: %o', async (options) => {
  await using at = await bench(options);
  const system = await findSystem(at.client);
  await setBios(at.client, system, { SriovEnabled: true });
  expect(await readBios(at.client, system)).toMatchObject({
    attributes: { SriovEnabled: false, NumaNodes: 2 },
    pending: { SriovEnabled: true },
  });
  await setPower(at.client, SYSTEM, 'on');
  expect(await readBios(at.client, system)).toMatchObject({ attributes: { SriovEnabled: true }, pending: {} });
  await expect(setBios(at.client, system, { Nonsense: 1 })).rejects.toBeInstanceOf(UnsupportedError);
});

it('reads the inventory whole', async () => {
  await using at = await bench();
  const found = await readInventory(at.client, SYSTEM);
  expect(found.problems).toEqual([]);
  expect(found.system).toMatchObject({ serialNumber: 'SN-0001', uuid: '6f9619ff-8b86-d011-b42d-00c04fc964ff' });
  expect(found.processors.map(({ cores }) => cores)).toEqual([16, 16]);
  expect(found.memory.map(({ capacityMiB, locator }) => [capacityMiB, locator])).toEqual(
    [1, 2, 3, 4].map((slot) => [16384, `A${slot}`]),
  );
  expect(found.pcieDevices[0]).toMatchObject({ serialNumber: 'DPU-77', slot: 'Slot 3' });
  expect(found.networkAdapters[0]).toMatchObject({ serialNumber: 'DPU-77', firmwareVersion: '32.1' });
  expect(found.storage[0]?.drives[0]).toMatchObject({
    identifiers: ['eui.0011223344556677'],
    capacityBytes: 960197124096,
  });
});
