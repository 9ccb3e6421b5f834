import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { IpmiCompletionError, IpmiFormatError } from '../errors.ts';
import { NET_FN } from '../message.ts';
import { sensorTypeName } from './sensor-names.ts';
import { dateOf } from './timestamp.ts';

/** Get SEL Info (IPMI 2.0 31.2). */
export type SelInfo = {
  /** For example `1.5`. */
  readonly version: string;
  readonly entries: number;
  readonly freeBytes: number;
  readonly lastAddition: Date | undefined;
  readonly lastErase: Date | undefined;
  /** Events were lost for want of space. */
  readonly overflow: boolean;
};

/** What every entry has. */
type SelEntryBase = { readonly recordId: number; readonly recordType: number; readonly raw: Buffer };

/** A system event, record type 02h (32.1). */
export type SelEvent = SelEntryBase & {
  readonly kind: 'event';
  /** Undefined when the BMC had no clock then: unset, or seconds since its start (37). */
  readonly time: Date | undefined;
  /** The four bytes of the time as a number. */
  readonly seconds: number;
  readonly generatorId: number;
  readonly sensorType: number;
  readonly sensorTypeName: string;
  readonly sensorNumber: number;
  readonly asserted: boolean;
  /** Event/reading type code (table 42-1). */
  readonly eventType: number;
  /** Event data 1 to 3 (29.7). */
  readonly data: Buffer;
};

/** An OEM record, C0h to DFh with a time, E0h to FFh without (32.2, 32.3), or one of a type that the standard does not define. */
export type SelOther = SelEntryBase & {
  readonly kind: 'other';
  readonly time: Date | undefined;
  readonly data: Buffer;
};

/** A record of the system event log. */
export type SelEntry = SelEvent | SelOther;

const INFO = 0x40;
const GET = 0x43;
const FIRST = 0x0000;
const END = 0xffff;
const NOT_PRESENT = 0xcb;

/** Get SEL Info (IPMI 2.0 31.2). @throws as `IpmiRequester.request`, and `malformed` */
export async function getSelInfo(bmc: IpmiRequester, options?: CallOptions): Promise<SelInfo> {
  const data = await bmc.request({ netFn: NET_FN.storage, command: INFO }, options);
  const reader = new ByteReader(data, 'Get SEL Info');
  const version = reader.u8();
  return {
    version: `${version & 15}.${version >> 4}`,
    entries: reader.u16(),
    freeBytes: reader.u16(),
    lastAddition: dateOf(reader.u32()),
    lastErase: dateOf(reader.u32()),
    overflow: (reader.u8() & 0x80) !== 0,
  };
}

/**
 * The log's entries, oldest first, one request each (Get SEL Entry, IPMI 2.0 31.5). What is added while reading comes too. The
 * options hold for each request; leaving the loop early costs nothing.
 * @throws as `IpmiRequester.request`, and `malformed` when the records go in circles
 */
export async function* readSel(bmc: IpmiRequester, options?: CallOptions): AsyncGenerator<SelEntry, void, undefined> {
  const seen = new Set<number>();
  for (let id = FIRST; id !== END; ) {
    if (seen.has(id)) throw new IpmiFormatError(`SEL: record ${id} comes twice`);
    seen.add(id);
    const found = await getEntry(bmc, id, options);
    if (found === undefined) return;
    yield parseSelEntry(found.raw);
    id = found.next;
  }
}

/** Parses the 16 bytes of an entry (IPMI 2.0 32). @throws `malformed` */
export function parseSelEntry(raw: Buffer): SelEntry {
  const reader = new ByteReader(raw, 'SEL entry');
  const base = { recordId: reader.u16(), recordType: reader.u8(), raw };
  if (base.recordType === 0x02) {
    const seconds = reader.u32();
    const generatorId = reader.u16();
    reader.u8();
    const sensorType = reader.u8();
    const sensorNumber = reader.u8();
    const direction = reader.u8();
    return {
      ...base,
      kind: 'event',
      time: dateOf(seconds),
      seconds,
      generatorId,
      sensorType,
      sensorTypeName: sensorTypeName(sensorType),
      sensorNumber,
      asserted: (direction & 0x80) === 0,
      eventType: direction & 0x7f,
      data: reader.bytes(3),
    };
  }
  const timed = base.recordType >= 0xc0 && base.recordType <= 0xdf;
  return { ...base, kind: 'other', time: timed ? dateOf(reader.u32()) : undefined, data: reader.rest() };
}

async function getEntry(bmc: IpmiRequester, id: number, options?: CallOptions) {
  // Reservation 0 and count FFh: the whole record at once needs no reservation (31.5).
  const request = { netFn: NET_FN.storage, command: GET, data: [0, 0, id & 0xff, id >> 8, 0, 0xff] };
  try {
    const reader = new ByteReader(await bmc.request(request, options), 'Get SEL Entry');
    const next = reader.u16();
    return { next, raw: Buffer.from(reader.bytes(16)) };
  } catch (error) {
    const empty = id === FIRST && error instanceof IpmiCompletionError && error.completionCode === NOT_PRESENT;
    if (empty) return undefined;
    throw error;
  }
}
