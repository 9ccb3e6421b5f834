import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { IpmiFormatError } from '../errors.ts';
import { NET_FN } from '../message.ts';
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
 * All bytes of a FRU inventory (Read FRU Data, IPMI 2.0 34.2), in pieces that the BMC is able to return.
 * The options hold for each request. @throws as `IpmiRequester.request`, and `malformed`
 */
export async function readFruData(bmc: IpmiRequester, fruId = 0, options?: CallOptions): Promise<Buffer> {
  const { size, byWords } = await getFruInfo(bmc, fruId, options);
  const unit = byWords ? 2 : 1;
  return readChunked(size, { unit }, async (offset, count) => {
    const at = offset / unit;
    const data = [fruId, at & 0xff, at >> 8, Math.ceil(count / unit)];
    const reader = new ByteReader(
      await bmc.request({ netFn: NET_FN.storage, command: 0x11, data }, options),
      'Read FRU Data',
    );
    const returned = reader.u8() * unit;
    if (returned > reader.left) throw new IpmiFormatError('Read FRU Data: fewer bytes than it says');
    return reader.bytes(returned);
  });
}

/** A FRU inventory, read and parsed. @throws as `readFruData` and `parseFru` */
export async function readFru(bmc: IpmiRequester, fruId = 0, options?: CallOptions): Promise<Fru> {
  return parseFru(await readFruData(bmc, fruId, options));
}
