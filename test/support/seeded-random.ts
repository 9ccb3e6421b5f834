import { createHash } from 'node:crypto';
import type { Random } from '../../core/ports/random.ts';

/** Chance that a seed replays. */
export interface SeededRandom extends Random {
  /** An integer in [0, limit). */
  int(limit: number): number;
  /** One of the items. */
  pick<Item>(items: readonly Item[]): Item;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** A stream of its own: what it is asked does not change what this one answers. */
  fork(label: string): SeededRandom;
}

/** The stream of a seed (sfc32, C. Doty-Humphrey, PractRand). */
export function seededRandom(seed: number | string): SeededRandom {
  const start = createHash('sha256').update(String(seed)).digest();
  let [a, b, c, counter] = [start.readInt32LE(0), start.readInt32LE(4), start.readInt32LE(8), start.readInt32LE(12)];
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  const unit = (): number => next() / 2 ** 32;
  const int = (limit: number): number => Math.floor(unit() * limit);
  return {
    unit,
    uuid: () => {
      const bytes = Buffer.alloc(16);
      for (let offset = 0; offset < 16; offset += 4) bytes.writeUInt32LE(next(), offset);
      bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
      bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
      const hex = bytes.toString('hex');
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
    },
    int,
    pick: (items) => {
      const item = items[int(items.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
    chance: (probability) => unit() < probability,
    fork: (label) => seededRandom(`${seed}/${label}`),
  };
}
