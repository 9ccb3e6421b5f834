import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  chassisControl,
  chassisIdentify,
  getBootFlags,
  getChassisStatus,
  type IpmiClient,
  setBootOverride,
} from '../src/index.ts';
import { type BmcPeer, standardAnswer, startBmcPeer } from './bmc-peer.ts';

let peer: BmcPeer;
let client: IpmiClient;

beforeEach(async () => {
  peer = await startBmcPeer();
  client = peer.client({ retryMs: 10_000 });
});

afterEach(async () => {
  await client.close();
  await peer.stop();
});

describe('commands', () => {
  it('a busy BMC is asked again; other codes are errors with their names', async () => {
    let busy = 2;
    peer.state.handle = (command) => {
      if (command.netFn !== 0 || busy === 0) return standardAnswer(command);
      busy -= 1;
      return { code: 0xc0 };
    };
    expect((await getChassisStatus(client)).powerOn).toBe(true);
    peer.state.handle = (command) => (command.netFn === 0 ? { code: 0xd4 } : standardAnswer(command));
    await expect(chassisControl(client, 'off')).rejects.toMatchObject({
      code: 'insufficient-privilege',
      completionCode: 0xd4,
      command: 2,
    });
  });

  it('sends the actions by their numbers, diag and identify too', async () => {
    for (const action of ['off', 'on', 'cycle', 'reset', 'diag', 'soft'] as const) await chassisControl(client, action);
    await chassisIdentify(client, 20);
    await chassisIdentify(client, 'on');
    await expect(chassisIdentify(client, 256)).rejects.toMatchObject({ code: 'bad-argument' });
    const sent = peer.commands.filter(({ netFn }) => netFn === 0).map(({ command, data }) => [command, ...data]);
    expect(sent).toEqual([
      [2, 0],
      [2, 1],
      [2, 2],
      [2, 3],
      [2, 4],
      [2, 5],
      [4, 20],
      [4, 0, 1],
    ]);
    expect((await getChassisStatus(client)).identify).toBe('off');
  });

  it('sets and gets back the boot override, EFI and persistent', async () => {
    const parameters = new Map<number, readonly number[]>();
    peer.state.handle = (command) => {
      if (command.netFn !== 0) return standardAnswer(command);
      const [selector = 0, ...data] = command.data;
      if (command.command === 9) return { data: [1, selector, ...(parameters.get(selector) ?? [])] };
      if (selector === 3) return { code: 0x80 };
      parameters.set(selector, data);
      return {};
    };
    await setBootOverride(client, { device: 'pxe', efi: true, persistent: true, keepWithoutPowerCommand: true });
    expect(await getBootFlags(client)).toMatchObject({ valid: true, efi: true, persistent: true, device: 'pxe' });
    expect(parameters.get(5)).toEqual([0xe0, 0x04, 0, 0, 0]);
    expect(parameters.get(0)).toEqual([0]);
    await setBootOverride(client, { device: 'cdrom' });
    expect(await getBootFlags(client)).toMatchObject({ valid: true, efi: false, persistent: false, device: 'cdrom' });
    const refuse = peer.state.handle;
    peer.state.handle = (command) =>
      command.command === 8 && command.data[0] === 0 && command.data[1] === 1 ? { code: 0x81 } : refuse(command);
    await expect(setBootOverride(client, { device: 'disk' })).rejects.toMatchObject({ code: 'set-in-progress' });
    expect(await getBootFlags(client)).toMatchObject({ device: 'cdrom' });
  });
});
