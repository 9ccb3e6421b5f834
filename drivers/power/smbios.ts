import { DpuError } from '../../core/errors.ts';
import type { PartialInventory } from './protocol.ts';

/** A structure of the table: its formatted part, and the strings behind it (DSP0134 6.1). */
interface Structure {
  readonly type: number;
  readonly bytes: Buffer;
  readonly strings: readonly string[];
}

/** DSP0134 7.2, 7.5, 7.18, 7.45. */
const TYPE = { system: 1, processor: 4, memory: 17, end: 127 } as const;
const CENTRAL_PROCESSOR = 3;
const MAX_STRUCTURES = 4096;

/**
 * Reads an SMBIOS table (DSP0134): as the kernel has it in `/sys/firmware/dmi/tables/DMI`, or with an entry point before it as
 * `dmidecode --dump-bin` writes it.
 * @throws DpuError `invalid`.
 */
export function smbiosInventory(dump: Buffer): PartialInventory {
  const structures = readStructures(dump.subarray(tableOffset(dump)));
  const system = structures.find(({ type }) => type === TYPE.system);
  const processors = structures.filter(isPopulated);
  const memory = structures.filter(({ type }) => type === TYPE.memory);
  return {
    manufacturer: system && text(system, 4),
    model: system && text(system, 5),
    serialNumber: system && text(system, 7),
    cpus: sum(processors.map(threads)),
    memoryMib: sum(memory.map(sizeMib)),
  };
}

/** dmidecode puts the entry point first and the table 32 bytes behind its start. */
function tableOffset(dump: Buffer): number {
  const anchor = dump.toString('latin1', 0, 5);
  return anchor === '_SM3_' || anchor.startsWith('_SM_') ? 0x20 : 0;
}

function readStructures(table: Buffer): readonly Structure[] {
  const found: Structure[] = [];
  let at = 0;
  while (at + 4 <= table.length && found.length < MAX_STRUCTURES) {
    const type = table.readUInt8(at);
    const length = table.readUInt8(at + 1);
    const behind = table.indexOf('\0\0', at + length, 'latin1');
    if (length < 4 || behind === -1) throw new DpuError('invalid', 'not an SMBIOS table');
    const strings = table.toString('latin1', at + length, behind).split('\0');
    found.push({ type, bytes: table.subarray(at, at + length), strings });
    if (type === TYPE.end) return found;
    at = behind + 2;
  }
  throw new DpuError('invalid', 'an SMBIOS table without an end');
}

/** A string by the number at an offset; 0 is none. */
function text({ bytes, strings }: Structure, offset: number): string | undefined {
  const number = offset < bytes.length ? bytes.readUInt8(offset) : 0;
  return number === 0 ? undefined : strings[number - 1];
}

function isPopulated({ type, bytes }: Structure): boolean {
  if (type !== TYPE.processor || bytes.length <= 0x18) return false;
  return bytes.readUInt8(5) === CENTRAL_PROCESSOR && (bytes.readUInt8(0x18) & 0x40) !== 0;
}

/** FFh says that the number is in the second field (DSP0134 7.5.8). A table before 2.5 has neither: one. */
function threads({ bytes }: Structure): number {
  const short = bytes.length > 0x25 ? bytes.readUInt8(0x25) : 1;
  return short === 0xff && bytes.length >= 0x30 ? bytes.readUInt16LE(0x2e) : short;
}

/** 0: empty; FFFFh: unknown; 7FFFh: in the extended field; bit 15: in KiB (DSP0134 7.18). */
function sizeMib({ bytes }: Structure): number {
  const size = bytes.length >= 0x0e ? bytes.readUInt16LE(0x0c) : 0;
  if (size === 0xffff) return 0;
  if (size === 0x7fff) return bytes.length >= 0x20 ? bytes.readUInt32LE(0x1c) & 0x7fffffff : 0;
  return (size & 0x8000) === 0 ? size : (size & 0x7fff) / 1024;
}

function sum(values: readonly number[]): number {
  return Math.round(values.reduce((total, value) => total + value, 0));
}
