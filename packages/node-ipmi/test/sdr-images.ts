/** SDR and FRU images for the tests, laid out by the tables of IPMI 2.0 43 and of the FRU definition. */

type FullSensor = {
  readonly id: number;
  readonly number: number;
  readonly type: number;
  readonly unit: number;
  readonly format: 0 | 1 | 2;
  readonly m: number;
  readonly b?: number;
  readonly bExponent?: number;
  readonly rExponent?: number;
  readonly name: string;
};

function withHeader(id: number, type: number, body: readonly number[]): Buffer {
  return Buffer.from([id & 0xff, id >> 8, 0x51, type, body.length, ...body]);
}

/** A full sensor record with thresholds, all readable (43.1). */
export function fullSdr(sensor: FullSensor): Buffer {
  const { m, b = 0, bExponent = 0, rExponent = 0, name } = sensor;
  const body = [0x20, 0, sensor.number, 3, 1, 0x67, 0x88, sensor.type, 1];
  body.push(0, 0, 0, 0, 0x3f, 0x3f, sensor.format << 6, sensor.unit, 0, 0);
  body.push(m & 0xff, (m >> 2) & 0xc0, b & 0xff, (b >> 2) & 0xc0, 0, ((rExponent & 15) << 4) | (bExponent & 15));
  body.push(7, 0x60, 0xb0, 0x10, 0xff, 0, 0xa0, 0x90, 0x70, 0x08, 0x10, 0x18, 1, 1, 0, 0, 0);
  body.push(0xc0 | name.length, ...Buffer.from(name));
  return withHeader(sensor.id, 1, body);
}

/** A compact record of a discrete sensor (43.2). */
export function compactSdr(id: number, number: number, type: number, name: string): Buffer {
  const body = [
    0x20,
    0,
    number,
    10,
    1,
    0x67,
    0x40,
    type,
    0x6f,
    0xff,
    0,
    0xff,
    0,
    0xff,
    0,
    0xc0,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ];
  body.push(0xc0 | name.length, ...Buffer.from(name));
  return withHeader(id, 2, body);
}

/** Six-bit ASCII, four characters in three bytes, the first in the lowest bits (FRU 13.3). */
export function packSixBit(text: string): Buffer {
  let bits = 0n;
  for (const [at, char] of [...text].entries()) bits |= BigInt((char.charCodeAt(0) - 0x20) & 0x3f) << BigInt(6 * at);
  const bytes = Buffer.alloc(Math.ceil((text.length * 6) / 8));
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = Number((bits >> BigInt(8 * at)) & 0xffn);
  return bytes;
}

const sum = (bytes: readonly number[] | Buffer): number => -[...bytes].reduce((a, b) => a + b, 0) & 0xff;

/** A field of a FRU area: text, or bytes of a type. */
export type ImageField = string | { readonly type: 0 | 1 | 2 | 3; readonly bytes: Buffer };

function fieldBytes(field: ImageField): readonly number[] {
  const { type, bytes } = typeof field === 'string' ? { type: 3, bytes: Buffer.from(field, 'latin1') } : field;
  return [(type << 6) | bytes.length, ...bytes];
}

/** An info area: version, length, head, fields, end mark, padding, checksum (FRU 10 to 12). */
export function fruArea(head: readonly number[], fields: readonly ImageField[]): Buffer {
  const body = [1, 0, ...head, ...fields.flatMap(fieldBytes), 0xc1];
  while ((body.length + 1) % 8 !== 0) body.push(0);
  body[1] = (body.length + 1) / 8;
  return Buffer.from([...body, sum(body)]);
}

/** A multirecord (FRU 16.1). */
export function fruRecord(type: number, data: readonly number[], last: boolean): Buffer {
  const head = [type, last ? 0x82 : 0x02, data.length, sum(data)];
  return Buffer.from([...head, sum(head), ...data]);
}

/** A whole inventory; areas in their order, an empty one is left out. */
export function fruImage(chassis: Buffer, board: Buffer, product: Buffer, records: Buffer = Buffer.alloc(0)): Buffer {
  const header = [1, 0];
  let offset = 8;
  for (const area of [chassis, board, product, records]) {
    header.push(area.length === 0 ? 0 : offset / 8);
    offset += Math.ceil(area.length / 8) * 8;
  }
  header.push(0);
  return Buffer.concat([Buffer.from([...header, sum(header)]), chassis, board, product, records]);
}

/** The inventory of the tests' BMC: plain text, six-bit ASCII, BCD plus, custom fields, a date, a multirecord. */
export function testFru(): Buffer {
  const minutes = (Date.UTC(2024, 1, 29, 12, 30) - Date.UTC(1996, 0, 1)) / 60_000;
  return fruImage(
    fruArea([0x17], ['CH-PART', { type: 2, bytes: packSixBit('SN-CH-0001') }, 'rack custom']),
    fruArea(
      [0, minutes & 0xff, (minutes >> 8) & 0xff, minutes >> 16],
      ['Maker', 'board-one', 'SN-BRD-0001', { type: 1, bytes: Buffer.from([0x12, 0x34, 0xb5, 0xc6]) }, ''],
    ),
    fruArea([0], ['Maker', 'server-one', 'PN-2', '1.0', 'SN-0001', 'ASSET-7', '', 'extra one', 'extra two']),
    Buffer.concat([fruRecord(0xc0, [1, 2, 3], false), fruRecord(0xc1, [4, 5], true)]),
  );
}
