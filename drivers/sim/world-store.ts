/** A row of the world, as a store keeps it. */
export interface WorldEntry {
  readonly kind: string;
  readonly key: string;
  /** Plain JSON. */
  readonly value: unknown;
}

/** Where the simulated hardware keeps its state, so that it outlives the daemon as real hardware does. */
export interface WorldStore {
  /** Everything that was put, in no order. */
  load(): readonly WorldEntry[];
  /** Writes a row, or erases it with null; done when it returns. */
  put(kind: string, key: string, value: object | null): void;
  /** Runs `work`; what it puts is there as a whole or not at all, even if the process is killed. */
  atomically<Result>(work: () => Result): Result;
  close(): void;
}

/** A store that lives as long as the object: for tests that restart a daemon inside one process. */
export function memoryWorldStore(): WorldStore {
  const rows = new Map<string, { readonly kind: string; readonly key: string; readonly json: string }>();
  return {
    load: () => [...rows.values()].map(({ kind, key, json }) => ({ kind, key, value: JSON.parse(json) })),
    put: (kind, key, value) => {
      const id = JSON.stringify([kind, key]);
      if (value === null) rows.delete(id);
      else rows.set(id, { kind, key, json: JSON.stringify(value) });
    },
    atomically: (work) => work(),
    close: () => {},
  };
}
