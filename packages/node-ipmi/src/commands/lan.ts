import type { CallOptions, IpmiRequester } from '../client.ts';
import { IpmiCompletionError, IpmiFormatError } from '../errors.ts';
import { NET_FN } from '../message.ts';

/** Where a BMC's address comes from (IPMI 2.0 table 23-4, parameter 4). */
export type AddressSource = 'unspecified' | 'static' | 'dhcp' | 'bios' | 'other';

/** A BMC's LAN parameters (IPMI 2.0 table 23-4). One that the BMC does not have is undefined. */
export type LanParameters = {
  readonly ipAddress: string | undefined;
  readonly addressSource: AddressSource | undefined;
  readonly macAddress: string | undefined;
  readonly subnetMask: string | undefined;
  readonly defaultGateway: string | undefined;
  readonly defaultGatewayMac: string | undefined;
  /** 1 to 4094; `off` when the BMC uses no VLAN. */
  readonly vlanId: number | 'off' | undefined;
  /** Numbers of the cipher suites that the channel offers; 0 among them lets anybody in. */
  readonly cipherSuites: readonly number[] | undefined;
};

const GET = 0x02;
const SOURCES: readonly AddressSource[] = ['unspecified', 'static', 'dhcp', 'bios', 'other'];
/** The channel that the request comes by (6.3). */
const THIS_CHANNEL = 0x0e;
const NOT_SUPPORTED: ReadonlySet<number> = new Set([0x80, 0xc9, 0xcb, 0xcc]);

/**
 * One LAN configuration parameter as it is, after its revision byte (Get LAN Configuration Parameters, IPMI 2.0 23.2); undefined when
 * the BMC does not have it.
 * @throws as `IpmiRequester.request`, and `malformed`
 */
export async function getLanParameter(
  bmc: IpmiRequester,
  parameter: number,
  options: CallOptions & { readonly channel?: number; readonly set?: number } = {},
): Promise<Buffer | undefined> {
  const { channel = THIS_CHANNEL, set = 0, ...call } = options;
  try {
    const data = await bmc.request({ netFn: NET_FN.transport, command: GET, data: [channel, parameter, set, 0] }, call);
    if (data.length < 1) throw new IpmiFormatError('Get LAN Configuration Parameters: no revision');
    return data.subarray(1);
  } catch (error) {
    if (error instanceof IpmiCompletionError && NOT_SUPPORTED.has(error.completionCode)) return undefined;
    throw error;
  }
}

/** The parameters that say how the BMC is reached (IPMI 2.0 23.2). @throws as `getLanParameter` */
export async function getLanParameters(
  bmc: IpmiRequester,
  options: CallOptions & { readonly channel?: number } = {},
): Promise<LanParameters> {
  const get = async (parameter: number, length: number): Promise<Buffer | undefined> => {
    const data = await getLanParameter(bmc, parameter, options);
    if (data !== undefined && data.length < length) {
      throw new IpmiFormatError(`LAN parameter ${parameter}: ${data.length} bytes are too few`);
    }
    return data;
  };
  const address = async (parameter: number) => (await get(parameter, 4))?.subarray(0, 4).join('.');
  const mac = async (parameter: number) => {
    const bytes = (await get(parameter, 6))?.subarray(0, 6);
    return bytes === undefined ? undefined : [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
  };
  const ipAddress = await address(3);
  const source = await get(4, 1);
  const macAddress = await mac(5);
  const subnetMask = await address(6);
  const defaultGateway = await address(12);
  const defaultGatewayMac = await mac(13);
  const vlan = (await get(20, 2))?.readUInt16LE(0);
  const count = (await get(22, 1))?.readUInt8(0);
  const suites = count === undefined ? undefined : await get(23, 1);
  return {
    ipAddress,
    addressSource: source === undefined ? undefined : (SOURCES[source.readUInt8(0) & 0x0f] ?? 'other'),
    macAddress,
    subnetMask,
    defaultGateway,
    defaultGatewayMac,
    vlanId: vlan === undefined ? undefined : (vlan & 0x8000) === 0 ? 'off' : vlan & 0x0fff,
    // Its first byte is reserved (parameter 23).
    cipherSuites: suites === undefined ? undefined : [...suites.subarray(1, 1 + ((count ?? 0) & 0x1f))],
  };
}
