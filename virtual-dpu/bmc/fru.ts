/** The inventory that IPMI serves: FRU Information Storage Definition 1.0. */

/** What it says. */
export interface FruText {
  readonly manufacturer: string;
  readonly product: string;
  readonly serialNumber: string;
  readonly assetTag: string;
}

/** Rack mount chassis (SMBIOS 7.4.1). */
const RACK_MOUNT = 0x17;
const ENGLISH = 0;
const END_OF_FIELDS = 0xc1;
/** Longest text of a field: its length has six bits, and 1 would read as the end (13, Type/Length Byte). */
const MAX_TEXT = 63;

/** The whole storage: common header, chassis, board and product areas. */
export function fruImage(text: FruText): Buffer {
  const { manufacturer, product, serialNumber, assetTag } = text;
  const chassis = area([RACK_MOUNT], ['VDPU-CH', serialNumber]);
  // Manufactured on an unspecified date (11, Board Info Area).
  const board = area([ENGLISH, 0, 0, 0], [manufacturer, `${product} board`, serialNumber, 'VDPU-BRD', '']);
  const goods = area([ENGLISH], [manufacturer, product, 'VDPU-1', '1.0', serialNumber, assetTag, '']);
  const offsets = [8, 8 + chassis.length, 8 + chassis.length + board.length];
  const header = Buffer.from([1, 0, ...offsets.map((offset) => offset / 8), 0, 0]);
  return Buffer.concat([withChecksum(header), chassis, board, goods]);
}

function area(head: readonly number[], fields: readonly string[]): Buffer {
  const body = Buffer.concat([
    Buffer.from([1, 0, ...head]),
    ...fields.flatMap((field) => {
      const text = Buffer.from(field.length === 1 ? `${field} ` : field, 'latin1').subarray(0, MAX_TEXT);
      return [Buffer.from([0xc0 | text.length]), text];
    }),
    Buffer.from([END_OF_FIELDS]),
  ]);
  const padded = Buffer.concat([body, Buffer.alloc((8 - ((body.length + 1) % 8)) % 8)]);
  padded[1] = (padded.length + 1) / 8;
  return withChecksum(padded);
}

function withChecksum(bytes: Buffer): Buffer {
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  return Buffer.concat([bytes, Buffer.from([-sum & 0xff])]);
}
