/** Bits of VIRTIO 1.2, 5.1.3 and 6, by the names that callers use. */
const bits: Readonly<Record<string, readonly number[]>> = {
  csum: [0, 1],
  mq: [22],
  mrg_rxbuf: [15],
  packed: [34],
  tso: [11, 12],
};

/** The features that may be asked for, of those whose bits the card has; all where it does not tell. */
export function offeredFeatures(card: bigint | null): readonly string[] {
  return Object.keys(bits).filter((name) => card === null || (card & maskOf(name)) === maskOf(name));
}

/** The bits of what was asked for. */
export function featureBits(names: readonly string[]): bigint {
  return names.reduce((all, name) => all | maskOf(name), 0n);
}

function maskOf(name: string): bigint {
  return (bits[name] ?? []).reduce((all, bit) => all | (1n << BigInt(bit)), 0n);
}
