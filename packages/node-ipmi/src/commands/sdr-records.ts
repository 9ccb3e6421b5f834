import { IpmiFormatError } from '../errors.ts';
import { type SensorFactors, sensorFactors } from './sensor-conversion.ts';
import { sensorTypeName, unitName } from './sensor-names.ts';
import { decodeText, typeLength } from './type-length.ts';

/** What every sensor record says (IPMI 2.0 43.1 to 43.3). */
type SensorRecordBase = {
  readonly recordId: number;
  /** The id string. */
  readonly name: string;
  /** Slave address or software id of the sensor's owner; 20h is the BMC. */
  readonly ownerId: number;
  readonly ownerLun: number;
  readonly channel: number;
  readonly number: number;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly sensorType: number;
  readonly sensorTypeName: string;
  /** Event/reading type code (table 42-1): 1 is by thresholds, all others are discrete. */
  readonly eventReadingType: number;
  readonly raw: Buffer;
};

/** Full sensor record, type 01h (43.1). */
export type FullSensorRecord = SensorRecordBase & {
  readonly kind: 'full';
  readonly unit: string;
  readonly factors: SensorFactors;
  /** Raw thresholds as the record was made with; the sensor's own are asked for by `getSensorThresholds`. */
  readonly initialThresholds: Readonly<Record<ThresholdName, number>>;
  readonly readableThresholds: ReadonlySet<ThresholdName>;
  readonly nominal: number | undefined;
  readonly normalMaximum: number | undefined;
  readonly normalMinimum: number | undefined;
};

/** Compact sensor record, type 02h (43.2). One record may stand for several sensors with consecutive numbers. */
export type CompactSensorRecord = SensorRecordBase & {
  readonly kind: 'compact';
  readonly unit: string;
  /** How many sensors share the record; 1 when it is not shared. */
  readonly shareCount: number;
};

/** Event-only record, type 03h (43.3): the sensor can not be read. */
export type EventOnlyRecord = SensorRecordBase & { readonly kind: 'event-only' };

/** FRU device locator, type 11h (43.8). */
export type FruLocatorRecord = {
  readonly kind: 'fru-locator';
  readonly recordId: number;
  readonly name: string;
  /** FRU device id for `readFru` when `logical`. */
  readonly fruId: number;
  readonly logical: boolean;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly raw: Buffer;
};

/** Management controller device locator, type 12h (43.9). */
export type McLocatorRecord = {
  readonly kind: 'mc-locator';
  readonly recordId: number;
  readonly name: string;
  readonly slaveAddress: number;
  readonly channel: number;
  readonly entityId: number;
  readonly entityInstance: number;
  readonly raw: Buffer;
};

/** Any other record, and one that is damaged. */
export type OtherRecord = {
  readonly kind: 'other';
  readonly recordId: number;
  readonly recordType: number;
  /** Why a record of a known type could not be parsed. */
  readonly problem: IpmiFormatError | undefined;
  readonly raw: Buffer;
};

/** A record that describes a sensor. */
export type SensorRecord = FullSensorRecord | CompactSensorRecord | EventOnlyRecord;

/** A record of the SDR repository. */
export type SdrRecord = SensorRecord | FruLocatorRecord | McLocatorRecord | OtherRecord;

/** Thresholds in the order of their bits (35.9). */
export const THRESHOLDS = [
  'lowerNonCritical',
  'lowerCritical',
  'lowerNonRecoverable',
  'upperNonCritical',
  'upperCritical',
  'upperNonRecoverable',
] as const;

/** One of them. */
export type ThresholdName = (typeof THRESHOLDS)[number];

/** Bytes 37 to 42 of a full record, in their order. */
const STORED_THRESHOLDS: readonly ThresholdName[] = [
  'upperNonRecoverable',
  'upperCritical',
  'upperNonCritical',
  'lowerNonRecoverable',
  'lowerCritical',
  'lowerNonCritical',
];

/** Parses a record as Get SDR returns it, header included. A record that is too short comes back as `other` with its `problem`. */
export function parseSdr(raw: Buffer): SdrRecord {
  const recordId = raw.length >= 2 ? raw.readUInt16LE(0) : 0;
  const recordType = raw[3] ?? 0;
  const parse = PARSERS[recordType];
  const other = { kind: 'other', recordId, recordType, raw } as const;
  if (parse === undefined) return { ...other, problem: undefined };
  try {
    return parse(new Fields(raw));
  } catch (error) {
    if (!(error instanceof IpmiFormatError)) throw error;
    return { ...other, problem: error };
  }
}

/** The threshold names whose bits are set (35.9). */
export function thresholdsOf(mask: number): ReadonlySet<ThresholdName> {
  return new Set(THRESHOLDS.filter((_, bit) => ((mask >> bit) & 1) === 1));
}

/** Bytes of a record, counted from 1 as the standard's tables do. */
class Fields {
  readonly raw: Buffer;

  constructor(raw: Buffer) {
    this.raw = raw;
  }

  readonly at = (byte: number): number => {
    const value = this.raw[byte - 1];
    if (value === undefined) throw new IpmiFormatError(`SDR: byte ${byte} of ${this.raw.length}`);
    return value;
  };

  /** The id string whose type/length byte is there; as much of it as there is (43.15). */
  idString(byte: number): string {
    const { encoding, length } = typeLength(this.at(byte));
    // Type 00b is Unicode here, and binary only in FRU areas.
    return decodeText(
      encoding === 'binary' ? 'unicode' : encoding,
      this.raw.subarray(byte, byte + (length & 0x1f)),
    ).replace(/\0+$/, '');
  }
}

function sensorBase({
  raw,
  at,
}: Fields): Omit<SensorRecordBase, 'name' | 'sensorType' | 'sensorTypeName' | 'eventReadingType'> {
  return {
    recordId: raw.readUInt16LE(0),
    ownerId: at(6),
    ownerLun: at(7) & 3,
    channel: at(7) >> 4,
    number: at(8),
    entityId: at(9),
    entityInstance: at(10),
    raw,
  };
}

function typed(type: number, eventReadingType: number) {
  return { sensorType: type, sensorTypeName: sensorTypeName(type), eventReadingType };
}

function fullRecord(fields: Fields): FullSensorRecord {
  const { at } = fields;
  const given = at(31);
  const initial = STORED_THRESHOLDS.map((name, index) => [name, at(37 + index)] as const);
  return {
    kind: 'full',
    name: fields.idString(48),
    ...sensorBase(fields),
    ...typed(at(13), at(14)),
    unit: unitName(at(21), at(22), at(23)),
    factors: sensorFactors(at),
    initialThresholds: Object.fromEntries(initial) as Record<ThresholdName, number>,
    // Byte 19: the readable mask of a sensor with thresholds (43.1).
    readableThresholds: at(14) === 1 ? thresholdsOf(at(19)) : new Set(),
    nominal: (given & 1) === 0 ? undefined : at(32),
    normalMaximum: (given & 2) === 0 ? undefined : at(33),
    normalMinimum: (given & 4) === 0 ? undefined : at(34),
  };
}

function compactRecord(fields: Fields): CompactSensorRecord {
  const { at } = fields;
  return {
    kind: 'compact',
    name: fields.idString(32),
    ...sensorBase(fields),
    ...typed(at(13), at(14)),
    unit: unitName(at(21), at(22), at(23)),
    shareCount: Math.max(1, at(24) & 0x0f),
  };
}

function eventOnlyRecord(fields: Fields): EventOnlyRecord {
  const { at } = fields;
  return { kind: 'event-only', name: fields.idString(17), ...sensorBase(fields), ...typed(at(11), at(12)) };
}

function fruLocator(fields: Fields): FruLocatorRecord {
  const { at, raw } = fields;
  return {
    kind: 'fru-locator',
    recordId: raw.readUInt16LE(0),
    name: fields.idString(16),
    fruId: at(7),
    logical: (at(8) & 0x80) !== 0,
    entityId: at(13),
    entityInstance: at(14),
    raw,
  };
}

function mcLocator(fields: Fields): McLocatorRecord {
  const { at, raw } = fields;
  return {
    kind: 'mc-locator',
    recordId: raw.readUInt16LE(0),
    name: fields.idString(16),
    slaveAddress: at(6) & 0xfe,
    channel: at(7) & 0x0f,
    entityId: at(13),
    entityInstance: at(14),
    raw,
  };
}

const PARSERS: Readonly<Record<number, (fields: Fields) => SdrRecord>> = {
  1: fullRecord,
  2: compactRecord,
  3: eventOnlyRecord,
  17: fruLocator,
  18: mcLocator,
};
