/** How a raw reading becomes a value (IPMI 2.0 36.3): y = L((M x + B 10^bExponent) 10^rExponent). */
export type SensorFactors = {
  /** Signed, 10 bits. */
  readonly m: number;
  /** Signed, 10 bits. */
  readonly b: number;
  /** K1, signed, 4 bits. */
  readonly bExponent: number;
  /** K2, signed, 4 bits. */
  readonly rExponent: number;
  /** Linearization, 7 bits: 0 is linear, 1 to 11 a function, 70h and more not defined here (table 43-1, byte 24). */
  readonly linearization: number;
  readonly format: AnalogFormat;
};

/** How a raw byte is to be read (table 43-1, byte 21 bits 7:6). */
export type AnalogFormat = 'unsigned' | 'ones-complement' | 'twos-complement' | 'none';

const FORMATS: readonly AnalogFormat[] = ['unsigned', 'ones-complement', 'twos-complement', 'none'];

const LINEARIZATIONS: readonly ((x: number) => number)[] = [
  (x) => x,
  Math.log,
  Math.log10,
  Math.log2,
  Math.exp,
  (x) => 10 ** x,
  (x) => 2 ** x,
  (x) => 1 / x,
  (x) => x * x,
  (x) => x * x * x,
  Math.sqrt,
  (x) => 1 / Math.cbrt(x),
];

/** Signed value of the low `bits` bits. */
export function signed(value: number, bits: number): number {
  return (value << (32 - bits)) >> (32 - bits);
}

/** The factors in bytes 21 and 24 to 30 of a full sensor record (table 43-1); `at` counts from 1, as the standard does. */
export function sensorFactors(at: (byte: number) => number): SensorFactors {
  return {
    m: signed(at(25) | ((at(26) & 0xc0) << 2), 10),
    b: signed(at(27) | ((at(28) & 0xc0) << 2), 10),
    rExponent: signed(at(30) >> 4, 4),
    bExponent: signed(at(30), 4),
    linearization: at(24) & 0x7f,
    format: FORMATS[at(21) >> 6] ?? 'none',
  };
}

/** The value of a raw byte; undefined when the sensor has no analog reading, or an own linearization (70h and more). */
export function convertReading(factors: SensorFactors, raw: number): number | undefined {
  const linearize = LINEARIZATIONS[factors.linearization];
  const x = number(factors.format, raw);
  if (linearize === undefined || x === undefined) return undefined;
  const { m, b, bExponent, rExponent } = factors;
  // Division by a power of ten is exact where multiplication with its inverse is not: 12 / 10 and not 12 * 0.1.
  const inner = scale(m * x + scale(b, bExponent), rExponent);
  return linearize(inner);
}

function scale(value: number, exponent: number): number {
  return exponent < 0 ? value / 10 ** -exponent : value * 10 ** exponent;
}

function number(format: AnalogFormat, raw: number): number | undefined {
  switch (format) {
    case 'unsigned':
      return raw;
    case 'twos-complement':
      return signed(raw, 8);
    case 'ones-complement':
      return raw < 0x80 ? raw : raw - 0xff;
    case 'none':
      return undefined;
  }
}
