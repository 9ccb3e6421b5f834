import { IpmiFormatError } from '../errors.ts';
import { checksum } from '../message.ts';
import { decodeText, type TextEncoding, typeLength } from './type-length.ts';

/** A field of a FRU area. */
export type FruField = { readonly encoding: TextEncoding; readonly text: string; readonly raw: Buffer };

/** Chassis Info Area (FRU 10). Empty fields are undefined. */
export type FruChassis = {
  /** SMBIOS chassis type, for example 17h: rack mount. */
  readonly type: number;
  readonly partNumber: string | undefined;
  readonly serialNumber: string | undefined;
  readonly custom: readonly FruField[];
};

/** Board Info Area (FRU 11). */
export type FruBoard = {
  readonly language: number;
  /** Undefined when unspecified. */
  readonly manufactured: Date | undefined;
  readonly manufacturer: string | undefined;
  readonly productName: string | undefined;
  readonly serialNumber: string | undefined;
  readonly partNumber: string | undefined;
  readonly fruFileId: string | undefined;
  readonly custom: readonly FruField[];
};

/** Product Info Area (FRU 12). */
export type FruProduct = {
  readonly language: number;
  readonly manufacturer: string | undefined;
  readonly productName: string | undefined;
  readonly partNumber: string | undefined;
  readonly version: string | undefined;
  readonly serialNumber: string | undefined;
  readonly assetTag: string | undefined;
  readonly fruFileId: string | undefined;
  readonly custom: readonly FruField[];
};

/** A record of the MultiRecord Area, its data as it is (FRU 16). */
export type FruRecord = { readonly type: number; readonly data: Buffer };

/** What a FRU inventory holds. An area that is not there, or that `problems` tells of, is undefined. */
export type Fru = {
  readonly chassis: FruChassis | undefined;
  readonly board: FruBoard | undefined;
  readonly product: FruProduct | undefined;
  readonly records: readonly FruRecord[];
  /** Areas that are damaged; the others are good all the same. */
  readonly problems: readonly IpmiFormatError[];
};

const END_OF_FIELDS = 0xc1;
const ENGLISH: ReadonlySet<number> = new Set([0, 25]);
/** Board dates count minutes from the start of 1996 (FRU 11). */
const EPOCH_1996 = Date.UTC(1996, 0, 1);
/** An inventory has no more multirecords than fit; this only bounds the work on garbage. */
const MAX_RECORDS = 1000;

/**
 * Parses a FRU inventory (Platform Management FRU Information Storage Definition 1.0, revision 1.3).
 * @throws `malformed` when even the common header is bad; a damaged area goes to `problems`
 */
export function parseFru(bytes: Buffer): Fru {
  if (bytes.length < 8) throw new IpmiFormatError('FRU: no common header');
  const header = bytes.subarray(0, 8);
  if ((header.readUInt8(0) & 0x0f) !== 1) throw new IpmiFormatError('FRU: common header of another version');
  if (checksum(header) !== 0) throw new IpmiFormatError('FRU: common header with a wrong checksum');
  const problems: IpmiFormatError[] = [];
  const area = <T>(name: string, at: number, parse: (area: FieldReader) => T): T | undefined => {
    const offset = header.readUInt8(at) * 8;
    if (offset === 0) return undefined;
    try {
      return parse(new FieldReader(name, wholeArea(name, bytes, offset)));
    } catch (error) {
      if (!(error instanceof IpmiFormatError)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  const chassis = area('chassis area', 2, parseChassis);
  const board = area('board area', 3, parseBoard);
  const product = area('product area', 4, parseProduct);
  return { chassis, board, product, records: parseRecords(bytes, header.readUInt8(5) * 8, problems), problems };
}

function parseChassis(area: FieldReader): FruChassis {
  return { type: area.byte(), partNumber: area.text(), serialNumber: area.text(), custom: area.rest() };
}

function parseBoard(area: FieldReader): FruBoard {
  const language = area.language();
  const minutes = area.byte() | (area.byte() << 8) | (area.byte() << 16);
  return {
    language,
    manufactured: minutes === 0 ? undefined : new Date(EPOCH_1996 + minutes * 60_000),
    manufacturer: area.text(),
    productName: area.text(),
    serialNumber: area.text(),
    partNumber: area.text(),
    fruFileId: area.text(),
    custom: area.rest(),
  };
}

function parseProduct(area: FieldReader): FruProduct {
  return {
    language: area.language(),
    manufacturer: area.text(),
    productName: area.text(),
    partNumber: area.text(),
    version: area.text(),
    serialNumber: area.text(),
    assetTag: area.text(),
    fruFileId: area.text(),
    custom: area.rest(),
  };
}

function wholeArea(name: string, bytes: Buffer, offset: number): Buffer {
  const length = offset + 1 < bytes.length ? bytes.readUInt8(offset + 1) * 8 : 0;
  const area = bytes.subarray(offset, offset + length);
  if (length === 0 || area.length < length) throw new IpmiFormatError(`FRU ${name}: outside of the inventory`);
  if ((area.readUInt8(0) & 0x0f) !== 1) throw new IpmiFormatError(`FRU ${name}: of another version`);
  if (checksum(area) !== 0) throw new IpmiFormatError(`FRU ${name}: wrong checksum`);
  return area;
}

/** Walks an area: first its fixed bytes, then its type/length fields (FRU 13). */
class FieldReader {
  readonly #name: string;
  readonly #area: Buffer;
  #at = 2;
  #unicode = false;

  constructor(name: string, area: Buffer) {
    this.#name = name;
    this.#area = area.subarray(0, -1);
  }

  byte(): number {
    const byte = this.#area[this.#at];
    if (byte === undefined) throw new IpmiFormatError(`FRU ${this.#name}: ends too early`);
    this.#at += 1;
    return byte;
  }

  /** The language code; fields of type 11b are Unicode in any but English (FRU 13). */
  language(): number {
    const code = this.byte();
    this.#unicode = !ENGLISH.has(code);
    return code;
  }

  /** The next predefined field; undefined when it is empty, or when the fields are over already. */
  text(): string | undefined {
    const field = this.#field();
    return field === undefined || field.raw.length === 0 ? undefined : field.text;
  }

  /** The fields after the predefined ones. */
  rest(): readonly FruField[] {
    const fields: FruField[] = [];
    for (let field = this.#field(); field !== undefined; field = this.#field()) fields.push(field);
    return fields;
  }

  #field(): FruField | undefined {
    const byte = this.#area[this.#at];
    // Some inventories fill their area to the end and leave the end mark out.
    if (byte === undefined || byte === END_OF_FIELDS) return undefined;
    const { encoding, length } = typeLength(byte);
    const raw = Buffer.from(this.#area.subarray(this.#at + 1, this.#at + 1 + length));
    if (raw.length < length) throw new IpmiFormatError(`FRU ${this.#name}: a field reaches over the end`);
    this.#at += 1 + length;
    const real = encoding === 'latin-1' && this.#unicode ? 'unicode' : encoding;
    return { encoding: real, text: decodeText(real, raw), raw };
  }
}

function parseRecords(bytes: Buffer, offset: number, problems: IpmiFormatError[]): readonly FruRecord[] {
  const records: FruRecord[] = [];
  for (let at = offset; at !== 0 && records.length < MAX_RECORDS; ) {
    const head = bytes.subarray(at, at + 5);
    if (head.length < 5 || checksum(head) !== 0) {
      problems.push(new IpmiFormatError('FRU multirecord area: a header is damaged'));
      break;
    }
    const data = bytes.subarray(at + 5, at + 5 + head.readUInt8(2));
    if (data.length < head.readUInt8(2) || ((checksum(data) - head.readUInt8(3)) & 0xff) !== 0) {
      problems.push(new IpmiFormatError('FRU multirecord area: a record is damaged'));
    } else {
      records.push({ type: head.readUInt8(0), data: Buffer.from(data) });
    }
    at = (head.readUInt8(1) & 0x80) === 0 ? at + 5 + head.readUInt8(2) : 0;
  }
  return records;
}
