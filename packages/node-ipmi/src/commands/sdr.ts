import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { IpmiCompletionError, IpmiFormatError } from '../errors.ts';
import { NET_FN } from '../message.ts';
import { readChunked } from './chunks.ts';
import { parseSdr, type SdrRecord } from './sdr-records.ts';
import { dateOf } from './timestamp.ts';

/** Get SDR Repository Info (IPMI 2.0 33.9). */
export type SdrRepositoryInfo = {
  /** For example `1.5`. */
  readonly version: string;
  readonly recordCount: number;
  /** Undefined when the BMC had no clock then. */
  readonly lastAddition: Date | undefined;
  readonly lastErase: Date | undefined;
};

const INFO = 0x20;
const RESERVE = 0x22;
const GET = 0x23;
const END = 0xffff;
const HEADER = 5;
const RESERVATION_CANCELED = 0xc5;
/** Somebody else may change the repository while we read; not for ever, though. */
const MAX_RESTARTS = 8;

/** Get SDR Repository Info (IPMI 2.0 33.9). @throws as `IpmiRequester.request`, and `malformed` */
export async function getSdrRepositoryInfo(bmc: IpmiRequester, options?: CallOptions): Promise<SdrRepositoryInfo> {
  const data = await bmc.request({ netFn: NET_FN.storage, command: INFO }, options);
  const reader = new ByteReader(data, 'Get SDR Repository Info');
  const version = reader.u8();
  const recordCount = reader.u16();
  reader.u16();
  return {
    version: `${version & 15}.${version >> 4}`,
    recordCount,
    lastAddition: dateOf(reader.u32()),
    lastErase: dateOf(reader.u32()),
  };
}

/**
 * All records of the SDR repository (Get SDR, IPMI 2.0 33.12), read in pieces under a reservation (33.11) that is renewed when the
 * BMC cancels it. The options hold for each request.
 * @throws as `IpmiRequester.request`, and `malformed` when the records go in circles
 */
export async function readSdrRepository(bmc: IpmiRequester, options?: CallOptions): Promise<readonly SdrRecord[]> {
  const records: SdrRecord[] = [];
  const seen = new Set<number>();
  let reservation = await reserve(bmc, options);
  let restarts = 0;
  for (let id = 0; id !== END; ) {
    if (seen.has(id)) throw new IpmiFormatError(`SDR repository: record ${id} comes twice`);
    try {
      const { next, raw } = await readRecord(bmc, reservation, id, options);
      records.push(parseSdr(raw));
      seen.add(id);
      id = next;
    } catch (error) {
      if (id === 0 && isCompletion(error, 0xcb)) return [];
      if (!isCompletion(error, RESERVATION_CANCELED) || restarts >= MAX_RESTARTS) throw error;
      restarts += 1;
      reservation = await reserve(bmc, options);
    }
  }
  return records;
}

async function reserve(bmc: IpmiRequester, options?: CallOptions): Promise<number> {
  const data = await bmc.request({ netFn: NET_FN.storage, command: RESERVE }, options);
  return new ByteReader(data, 'Reserve SDR Repository').u16();
}

async function readRecord(bmc: IpmiRequester, reservation: number, id: number, options?: CallOptions) {
  let next = END;
  const read = async (offset: number, count: number): Promise<Buffer> => {
    const data = [reservation & 0xff, reservation >> 8, id & 0xff, id >> 8, offset, count];
    const reader = new ByteReader(await bmc.request({ netFn: NET_FN.storage, command: GET, data }, options), 'Get SDR');
    next = reader.u16();
    return reader.rest();
  };
  const header = await read(0, HEADER);
  if (header.length < HEADER) throw new IpmiFormatError('Get SDR: no whole record header');
  const body = await readChunked(header.readUInt8(4), {}, (offset, count) => read(HEADER + offset, count));
  return { next, raw: Buffer.concat([header.subarray(0, HEADER), body]) };
}

function isCompletion(error: unknown, code: number): boolean {
  return error instanceof IpmiCompletionError && error.completionCode === code;
}
