/** A SOL payload (IPMI 2.0 15.9). */
export type SolPacket = {
  /** 1 to 15; 0 is a packet that only acknowledges, or only tells a status. */
  readonly sequence: number;
  /** Sequence of the packet that is acknowledged; 0 is none. */
  readonly acked: number;
  /** How many characters of it were taken. */
  readonly accepted: number;
  /** The operation (to the BMC) or status (from it) byte. */
  readonly flags: number;
  readonly data: Buffer;
};

/** Bits of the operation byte, from the remote console to the BMC (table 15-2). */
export const SOL_OPERATION = { nack: 0x40, break: 0x10 } as const;

/** Bits of the status byte, from the BMC to the remote console (table 15-2). */
export const SOL_STATUS = { nack: 0x40, unavailable: 0x20, deactivated: 0x10, overrun: 0x08, break: 0x04 } as const;

/** Most characters of a packet: the accepted count has eight bits. */
export const SOL_MAX_DATA = 255;

const HEADER = 4;

/** Encodes a packet. */
export function encodeSol({ sequence, acked, accepted, flags, data }: SolPacket): Buffer {
  return Buffer.concat([Buffer.of(sequence & 0x0f, acked & 0x0f, accepted, flags), data]);
}

/** Decodes a payload; undefined when it is shorter than its header. */
export function decodeSol(payload: Buffer): SolPacket | undefined {
  if (payload.length < HEADER) return undefined;
  return {
    sequence: payload.readUInt8(0) & 0x0f,
    acked: payload.readUInt8(1) & 0x0f,
    accepted: payload.readUInt8(2),
    flags: payload.readUInt8(3),
    data: payload.subarray(HEADER),
  };
}

/** The sequence number after another one: 1 to 15, round and round (15.9). */
export const nextSolSequence = (sequence: number): number => (sequence % 15) + 1;
