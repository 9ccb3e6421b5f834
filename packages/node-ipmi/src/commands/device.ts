import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { NET_FN } from '../message.ts';

/** What a BMC says it is (IPMI 2.0 20.1). */
export type DeviceId = {
  readonly deviceId: number;
  readonly deviceRevision: number;
  /** Major and minor, the minor as its two BCD digits: `9.08`. */
  readonly firmwareRevision: string;
  /** For example `2.0`. */
  readonly ipmiVersion: string;
  /** Normal operation; false while its firmware or self-initialization is in progress. */
  readonly available: boolean;
  readonly providesDeviceSdrs: boolean;
  readonly supports: {
    readonly chassis: boolean;
    readonly bridge: boolean;
    readonly ipmbEventGenerator: boolean;
    readonly ipmbEventReceiver: boolean;
    readonly fru: boolean;
    readonly sel: boolean;
    readonly sdrRepository: boolean;
    readonly sensors: boolean;
  };
  /** IANA enterprise number. */
  readonly manufacturerId: number;
  readonly productId: number;
  /** Four bytes, when the BMC gives them. */
  readonly auxiliaryRevision: Buffer | undefined;
};

const bit = (byte: number, at: number): boolean => ((byte >> at) & 1) === 1;

/** Get Device ID (IPMI 2.0 20.1). @throws as `IpmiRequester.request`, and `malformed` */
export async function getDeviceId(bmc: IpmiRequester, options?: CallOptions): Promise<DeviceId> {
  const reader = new ByteReader(await bmc.request({ netFn: NET_FN.app, command: 0x01 }, options), 'Get Device ID');
  const deviceId = reader.u8();
  const revision = reader.u8();
  const major = reader.u8();
  const minor = reader.u8();
  const version = reader.u8();
  const support = reader.u8();
  return {
    deviceId,
    deviceRevision: revision & 0x0f,
    firmwareRevision: `${major & 0x7f}.${minor.toString(16).padStart(2, '0')}`,
    // The low nibble is the major number (20.1).
    ipmiVersion: `${version & 0x0f}.${version >> 4}`,
    available: !bit(major, 7),
    providesDeviceSdrs: bit(revision, 7),
    supports: {
      chassis: bit(support, 7),
      bridge: bit(support, 6),
      ipmbEventGenerator: bit(support, 5),
      ipmbEventReceiver: bit(support, 4),
      fru: bit(support, 3),
      sel: bit(support, 2),
      sdrRepository: bit(support, 1),
      sensors: bit(support, 0),
    },
    manufacturerId: reader.u24() & 0x0f_ffff,
    productId: reader.u16(),
    auxiliaryRevision: reader.left >= 4 ? Buffer.from(reader.bytes(4)) : undefined,
  };
}

/** Get System GUID, 16 bytes as they come (IPMI 2.0 22.14). @throws as `IpmiRequester.request`, and `malformed` */
export async function getSystemGuid(bmc: IpmiRequester, options?: CallOptions): Promise<Buffer> {
  const data = await bmc.request({ netFn: NET_FN.app, command: 0x37 }, options);
  return Buffer.from(new ByteReader(data, 'Get System GUID').bytes(16));
}
