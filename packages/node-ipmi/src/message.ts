/** A command to the BMC (IPMI 2.0 13.8). `netFn` is the even, request number. */
export type IpmiRequest = {
  readonly netFn: number;
  readonly command: number;
  readonly data?: Uint8Array | readonly number[];
  /** Responder's LUN, 0 to 3; default 0. */
  readonly lun?: number;
};

/** An answer as it is on the wire; `netFn` is the request's. */
export type IpmiResponse = {
  readonly netFn: number;
  readonly command: number;
  /** rqSeq, 0 to 63: which request it answers. */
  readonly sequence: number;
  readonly completionCode: number;
  readonly data: Buffer;
};

/** Network functions that the commands of this package use (table 5-1). */
export const NET_FN = { chassis: 0x00, sensor: 0x04, app: 0x06, storage: 0x0a, transport: 0x0c } as const;

/** Longest data of a request; a BMC's input buffer is smaller still, this only keeps nonsense off the wire. */
export const MAX_REQUEST_DATA = 240;

/** The BMC's slave address and the remote console's software id (5.5, table 13-8). */
const BMC = 0x20;
const CONSOLE = 0x81;

/** Two's complement checksum: all bytes and it add to 0 modulo 256 (13.8). */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}

/** rsAddr, netFn/LUN, checksum, rqAddr, rqSeq, command, data, checksum (13.8). */
export function encodeRequest(request: IpmiRequest, sequence: number): Buffer {
  const head = Buffer.of(BMC, (request.netFn << 2) | (request.lun ?? 0));
  const body = Buffer.from([CONSOLE, sequence << 2, request.command, ...(request.data ?? [])]);
  return Buffer.concat([head, Buffer.of(checksum(head)), body, Buffer.of(checksum(body))]);
}

/** The answer that a payload holds; undefined when it is cut short, has a wrong checksum, or is a request. */
export function decodeResponse(payload: Buffer): IpmiResponse | undefined {
  if (payload.length < 8) return undefined;
  if (checksum(payload.subarray(0, 3)) !== 0 || checksum(payload.subarray(3)) !== 0) return undefined;
  const netFn = payload.readUInt8(1) >> 2;
  if (netFn % 2 === 0) return undefined;
  return {
    netFn: netFn - 1,
    sequence: payload.readUInt8(4) >> 2,
    command: payload.readUInt8(5),
    completionCode: payload.readUInt8(6),
    data: payload.subarray(7, -1),
  };
}
