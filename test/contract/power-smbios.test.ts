import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { smbiosInventory } from '../../drivers/power/smbios.ts';
import { eventually, openSerial } from '../support/bmc-bench.ts';
import { havePrograms, startMachine, type TestMachine } from '../support/qemu-machine.ts';

const END = [127, 4, 0, 0, 0, 0];
/** A structure with its fields at their offsets. */
function structure(type: number, length: number, fields: Readonly<Record<number, number>>, strings = ''): number[] {
  const bytes = new Array<number>(length).fill(0);
  bytes.splice(0, 2, type, length);
  for (const [at, value] of Object.entries(fields)) bytes[Number(at)] = value;
  return [...bytes, ...Buffer.from(strings === '' ? '\0\0' : `${strings}\0\0`, 'latin1')];
}

it('counts what is there, in every spelling of a number', () => {
  const table = Buffer.from([
    ...structure(1, 27, { 4: 1, 5: 2, 7: 3 }, 'Maker\0Model\0SN-9'),
    ...structure(4, 48, { 5: 3, 24: 0x41, 37: 8 }),
    ...structure(4, 48, { 5: 3, 24: 0x41, 37: 0xff, 46: 0x00, 47: 0x01 }),
    ...structure(4, 48, { 5: 3, 24: 0x00, 37: 8 }),
    ...structure(17, 40, { 12: 0x00, 13: 0x40 }),
    ...structure(17, 40, { 12: 0xff, 13: 0x7f, 28: 0x00, 29: 0x80 }),
    ...structure(17, 40, { 12: 0x00, 13: 0x84 }),
    ...structure(17, 40, {}),
    ...END,
  ]);
  const wanted = {
    manufacturer: 'Maker',
    model: 'Model',
    serialNumber: 'SN-9',
    cpus: 264,
    memoryMib: 16384 + 32768 + 1,
  };
  expect(smbiosInventory(table)).toEqual(wanted);
  const entry = Buffer.alloc(32);
  entry.write('_SM3_', 'latin1');
  expect(smbiosInventory(Buffer.concat([entry, table]))).toEqual(wanted);
});

it('refuses what is no table, and never anything worse', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        smbiosInventory(Buffer.from(bytes));
      } catch (error) {
        expect(hasCode(error, 'invalid')).toBe(true);
      }
    }),
  );
});

describe.skipIf(!havePrograms('SMBIOS of a real firmware', { '/usr/bin/qemu-system-x86_64': 'qemu-system-x86' }))(
  'SMBIOS of a real firmware',
  () => {
    /** The table that the firmware put into memory, found by its entry point (DSP0134 5.2.1). */
    async function tableOf(machine: TestMachine): Promise<Buffer> {
      const file = join(machine.stateDir, 'memory');
      const read = async (val: number, size: number): Promise<Buffer> => {
        await machine.qmp.executeAny('pmemsave', { val, size, filename: file });
        return await readFile(file);
      };
      const segment = await read(0xf0000, 0x10000);
      const at = segment.indexOf('_SM_', 0, 'latin1');
      if (at < 0) throw new Error('no entry point');
      return await read(segment.readUInt32LE(at + 0x18), segment.readUInt16LE(at + 0x16));
    }

    it('tells what the machine was made with', { timeout: 60_000 }, async () => {
      const machine = await startMachine();
      try {
        await machine.plugDisk('a', 2, 'this is disk a');
        const serial = await openSerial(machine.host.serial);
        await machine.qmp.execute('system_reset');
        await machine.qmp.execute('qom-set', { path: '/machine/peripheral/fn-a', property: 'bootindex', value: 1 });
        await machine.qmp.execute('system_reset');
        await machine.qmp.execute('cont');
        await eventually('the boot', async () => serial.text().includes('this is disk a'));
        serial.close();
        expect(smbiosInventory(await tableOf(machine))).toEqual({
          manufacturer: 'VDPU',
          model: 'virtual-server',
          serialNumber: 'SN-TEST-1',
          cpus: 2,
          memoryMib: 64,
        });
      } finally {
        await machine.close();
      }
    });
  },
);
