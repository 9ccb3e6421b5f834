import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { FunctionId, JsonObject } from '../../core/units.ts';
import type { BackendSpec } from '../../snic-controller/backends/backend.ts';
import { buildImage } from '../../virtual-dpu/image/build-image.ts';
import { type GuestConsole, openGuestConsole } from '../support/guest-console.ts';
import { disk, nic, openVirtualCard, patient, type VirtualCard } from '../support/virtual-card.ts';
import { canHaveVirtualHosts } from '../support/virtual-host.ts';

const data: BackendSpec = { ...disk, id: 'disk-33333333-3333-8333-8333-333333333333' as FunctionId };
const nvme: BackendSpec = { ...disk, id: 'disk-44444444-4444-8444-8444-444444444444' as FunctionId, class: 'nvme' };
const bootTimeoutMs = 240_000;
vi.setConfig({ testTimeout: 240_000 });

/** One guest for all of it: what is plugged in one test is unplugged at its end. */
describe.skipIf(!canHaveVirtualHosts('virtual backend with a guest'))('the virtual backend and a guest', () => {
  let card: VirtualCard;
  let guest: GuestConsole;
  const taken: JsonObject[] = [];
  const make = async (spec: BackendSpec): Promise<JsonObject> => {
    const reservation = await card.make(spec, taken);
    taken.push(reservation);
    return reservation;
  };
  const facts = async (): Promise<readonly string[]> => (await guest.run('facts')).split('\n');
  /** Waits until the guest sees what it shall see, or no more. */
  const sees = (text: string): Promise<string> => guest.until('facts', (output) => output.includes(text));
  const seesNot = (text: string): Promise<string> => guest.until('facts', (output) => !output.includes(text));
  const boot = async (): Promise<void> => {
    await card.lab.powerOn();
    await guest.login({ ms: bootTimeoutMs });
  };

  beforeAll(async () => {
    card = await openVirtualCard({ memoryMib: 256 });
    const file = await buildImage({ output: join(card.lab.dir, 'image'), metadataWait: 0 });
    await card.lab.storage.serve(disk.id, { file });
    for (const each of [data, nvme]) await card.lab.storage.serve(each.id);
    await card.backend.plug(disk, await make(disk));
    await card.lab.bootFrom(disk.id);
    guest = await openGuestConsole(card.lab.host.serial);
    await boot();
  }, bootTimeoutMs);
  afterAll(async () => {
    guest?.close();
    await card?.close();
  });

  it('boots it from the disk, which has the address and serial number that were told', async () => {
    const { bdf } = (await card.shown(disk.id)) ?? {};
    expect(await facts()).toContainEqual(
      expect.stringMatching(new RegExp(`^disk vda ${bdf} \\d+ rw ${disk.id.slice(0, 20)}$`)),
    );
  });

  it('shows it a NIC at the address that was told, and takes it away with its consent; the same address again', async () => {
    const reservation = await make(nic);
    const { bdf } = await card.backend.plug(nic, reservation);
    for (let round = 0; round < 3; round += 1) {
      expect(await card.backend.plug(nic, reservation)).toMatchObject({ bdf });
      await sees(`nic eth0 ${bdf} ${nic.mac} `);
      await card.backend.unplug(nic, reservation, patient);
      await seesNot(String(bdf));
      expect(await card.lab.remains()).not.toContain('/machine/peripheral/fn-nic');
    }
    await card.backend.plug(nic, reservation);
    await sees(`nic eth0 ${bdf} ${nic.mac} `);
    await card.backend.change(nic, reservation, { link: 'down' });
    await guest.until('cat /sys/class/net/eth0/carrier', (output) => output === '0');
    await card.backend.change(nic, reservation, { link: 'up' });
    await guest.until('cat /sys/class/net/eth0/carrier', (output) => output === '1');
    await card.backend.unplug(nic, reservation, patient);
    await card.backend.destroy(nic, reservation);
    expect(await card.lab.remains()).toEqual([`/machine/peripheral/fn-${disk.id}`, 'node pf-rp0']);
  });

  it('sends no offload that the representor could not complete', async () => {
    const reservation = await make(nic);
    await card.backend.plug(nic, reservation);
    await sees(`nic eth0 `);
    const device = await guest.run('cat /sys/class/net/eth0/device/features');
    // VIRTIO 1.2, 5.1.3: VIRTIO_NET_F_CSUM (0), GUEST_CSUM (1), HOST_TSO4 (11), HOST_TSO6 (12)
    for (const bit of [0, 1, 11, 12]) expect(device[bit]).toBe('0');
    await card.backend.unplug(nic, reservation, patient);
    await card.backend.destroy(nic, reservation);
  });

  it.each([
    ['virtio-blk', data, 'vdb'],
    ['nvme', nvme, 'nvme0n1'],
  ] as const)(
    'reads back what it wrote to a %s disk that was unplugged and plugged in between',
    async (_kind, spec, name) => {
      const reservation = await make(spec);
      const { bdf } = await card.backend.plug(spec, reservation);
      await sees(`disk ${name} ${bdf} `);
      await guest.run(`echo "written by the guest ${name}" | dd of=/dev/${name} bs=512 conv=sync,fsync seek=8`);
      await card.backend.unplug(spec, reservation, patient);
      await seesNot(String(bdf));
      await card.backend.plug(spec, reservation);
      await sees(`disk ${name} ${bdf} `);
      expect(await guest.run(`dd if=/dev/${name} bs=512 skip=8 count=1 2>/dev/null | head -n 1`)).toBe(
        `written by the guest ${name}`,
      );
      await card.backend.unplug(spec, reservation, patient);
      await card.backend.destroy(spec, reservation);
    },
  );

  it('keeps addresses over its own reboot, a reset, and its switching itself off; then unplugs at once', async () => {
    const reservation = await make(nic);
    const { bdf } = await card.backend.plug(nic, reservation);
    const line = `nic eth0 ${bdf} ${nic.mac} `;
    await sees(line);
    guest.send('reboot\n');
    await guest.login({ ms: bootTimeoutMs });
    await sees(line);
    await card.lab.qmp.execute('system_reset');
    await guest.login({ ms: bootTimeoutMs });
    await sees(line);
    const off = card.lab.qmp.waitForEvent('SHUTDOWN', { timeoutMs: 60_000 });
    guest.send('poweroff\n');
    await off;
    expect(await card.shown(nic.id)).toMatchObject({ bdf, plugged: true });
    await card.backend.unplug(nic, reservation, { deadlineMs: 0, force: false });
    expect(await card.shown(nic.id)).toMatchObject({ plugged: false });
    expect(await card.backend.plug(nic, reservation)).toMatchObject({ bdf });
    await boot();
    await sees(line);
  }, 600_000);
});
