import { ByteReader } from '../byte-reader.ts';
import type { CallOptions, IpmiRequester } from '../client.ts';
import { NET_FN } from '../message.ts';
import { type SensorRecord, THRESHOLDS, type ThresholdName, thresholdsOf } from './sdr-records.ts';
import { convertReading } from './sensor-conversion.ts';

/** Get Sensor Reading (IPMI 2.0 35.14). */
export type SensorReading = {
  /** False: the sensor is off, or has nothing to say yet; `raw`, `value` and the states then mean nothing. */
  readonly available: boolean;
  readonly raw: number;
  /** In the record's unit; undefined for a discrete sensor, and for an own linearization. */
  readonly value: number | undefined;
  /** Thresholds that are crossed, of a sensor with thresholds. */
  readonly crossed: ReadonlySet<ThresholdName>;
  /** Numbers of the states that are asserted, 0 to 14, of a discrete sensor (table 42-2, 42-3). */
  readonly states: ReadonlySet<number>;
};

/** A sensor's thresholds in the record's unit; those that can not be read are not there. */
export type SensorThresholds = Partial<Readonly<Record<ThresholdName, number>>>;

const SCANNING = 0x40;
const UNAVAILABLE = 0x20;

/** Get Sensor Reading, converted by the record (IPMI 2.0 35.14, 36.3). @throws as `IpmiRequester.request`, and `malformed` */
export async function readSensor(
  bmc: IpmiRequester,
  sensor: SensorRecord,
  options?: CallOptions,
): Promise<SensorReading> {
  const request = { netFn: NET_FN.sensor, command: 0x2d, data: [sensor.number], lun: sensor.ownerLun };
  const reader = new ByteReader(await bmc.request(request, options), 'Get Sensor Reading');
  const raw = reader.u8();
  const flags = reader.u8();
  const low = reader.left > 0 ? reader.u8() : 0;
  const high = reader.left > 0 ? reader.u8() & 0x7f : 0;
  const available = (flags & SCANNING) !== 0 && (flags & UNAVAILABLE) === 0;
  const byThreshold = sensor.eventReadingType === 1;
  const states = low | (high << 8);
  return {
    available,
    raw,
    value: available && sensor.kind === 'full' && byThreshold ? convertReading(sensor.factors, raw) : undefined,
    crossed: byThreshold ? thresholdsOf(low & 0x3f) : new Set(),
    states: byThreshold
      ? new Set()
      : new Set(Array.from({ length: 15 }, (_, bit) => bit).filter((bit) => (states >> bit) & 1)),
  };
}

/** Get Sensor Thresholds, converted by the record (IPMI 2.0 35.9). @throws as `IpmiRequester.request`, and `malformed` */
export async function getSensorThresholds(
  bmc: IpmiRequester,
  sensor: SensorRecord,
  options?: CallOptions,
): Promise<SensorThresholds> {
  const request = { netFn: NET_FN.sensor, command: 0x27, data: [sensor.number], lun: sensor.ownerLun };
  const reader = new ByteReader(await bmc.request(request, options), 'Get Sensor Thresholds');
  const readable = thresholdsOf(reader.u8());
  const thresholds: Partial<Record<ThresholdName, number>> = {};
  for (const name of THRESHOLDS) {
    const raw = reader.u8();
    const value = sensor.kind === 'full' ? convertReading(sensor.factors, raw) : raw;
    if (readable.has(name) && value !== undefined) thresholds[name] = value;
  }
  return thresholds;
}
