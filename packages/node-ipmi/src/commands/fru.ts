import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { IpmiFormatError } from '../errors.ts';
import { checksum, NET_FN } from '../message.ts';
import { readChunked } from './chunks.ts';
import { type Fru, parseFru } from './fru-areas.ts';

/** Get FRU Inventory Area Info (IPMI 2.0 34.1). */
export type FruInfo = {
  /** Bytes. */
  readonly size: number;
  /** Offsets and counts of Read FRU Data are in words of two bytes. */
  readonly byWords: boolean;
};

/** Get FRU Inventory Area Info (IPMI 2.0 34.1). @throws as `IpmiRequester.request`, and `malformed` */
export async function getFruInfo(bmc: IpmiRequester, fruId = 0, options?: CallOptions): Promise<FruInfo> {
  const data = await bmc.request({ netFn: NET_FN.storage, command: 0x10, data: [fruId] }, options);
  const reader = new ByteReader(data, 'Get FRU Inventory Area Info');
  return { size: reader.u16(), byWords: (reader.u8() & 1) === 1 };
}

/**
 * All bytes of a FRU inventory (Read FRU Data, IPMI 2.0 34.2), in pieces that the BMC is able to return. Some BMCs name a bigger size
 * than they can read; `readFru` reads only what the areas take. The options hold for each request.
 * @throws as `IpmiRequester.request`, and `malformed`
 */
export async function readFruData(bmc: IpmiRequester, fruId = 0, options?: CallOptions): Promise<Buffer> {
  const info = await getFruInfo(bmc, fruId, options);
  const whole = Buffer.alloc(info.size);
  await readRange(bmc, fruId, info, whole, 0, info.size, options);
  return whole;
}

/** The areas of a FRU inventory, read and parsed. @throws as `readFruData` and `parseFru` */
export async function readFru(bmc: IpmiRequester, fruId = 0, options?: CallOptions): Promise<Fru> {
  const info = await getFruInfo(bmc, fruId, options);
  const whole = Buffer.alloc(info.size);
  const read = (offset: number, count: number) => readRange(bmc, fruId, info, whole, offset, count, options);
  await read(0, HEADER);
  if (whole.length < HEADER) return parseFru(whole);
  for (const at of AREA_OFFSETS) {
    const offset = whole.readUInt8(at) * 8;
    if (offset === 0 || offset + 2 > whole.length) continue;
    await read(offset, 2);
    await read(offset, whole.readUInt8(offset + 1) * 8);
  }
  for (let at = whole.readUInt8(RECORDS_OFFSET) * 8; at !== 0 && at + RECORD_HEADER <= whole.length; ) {
    await read(at, RECORD_HEADER);
    if (checksum(whole.subarray(at, at + RECORD_HEADER)) !== 0) break;
    const length = whole.readUInt8(at + 2);
    await read(at + RECORD_HEADER, length);
    at = (whole.readUInt8(at + 1) & END_OF_LIST) === 0 ? at + RECORD_HEADER + length : 0;
  }
  return parseFru(whole);
}

const HEADER = 8;
/** Where the common header holds the offsets of the chassis, board and product areas, and of the multirecords (FRU 8). */
const AREA_OFFSETS = [2, 3, 4] as const;
const RECORDS_OFFSET = 5;
const RECORD_HEADER = 5;
const END_OF_LIST = 0x80;

/** Fills a part of `whole`; what reaches over its end is left out. */
async function readRange(
  bmc: IpmiRequester,
  fruId: number,
  { byWords }: FruInfo,
  whole: Buffer,
  from: number,
  count: number,
  options?: CallOptions,
): Promise<void> {
  const unit = byWords ? 2 : 1;
  const start = from - (from % unit);
  const end = Math.min(from + count, whole.length);
  const bytes = await readChunked(end - start, { unit }, async (offset, length) => {
    const at = (start + offset) / unit;
    const data = [fruId, at & 0xff, at >> 8, Math.ceil(length / unit)];
    const request = { netFn: NET_FN.storage, command: 0x11, data };
    const reader = new ByteReader(await bmc.request(request, options), 'Read FRU Data');
    const returned = reader.u8() * unit;
    if (returned > reader.left) throw new IpmiFormatError('Read FRU Data: fewer bytes than it says');
    return reader.bytes(returned);
  });
  bytes.copy(whole, start);
}
