/** A small typed emitter: a listener that throws stops neither the others nor the connection. */
export class Emitter<Events extends Record<string, unknown>> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();
  readonly #onListenerError: (error: unknown) => void;

  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Adds a listener; the function returned takes it away again. */
  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    // Wrapped, so that one function added twice is two listeners.
    const entry = (event: never) => listener(event);
    set.add(entry);
    return () => void set.delete(entry);
  }

  /** True when somebody listens, so that an event need not be built for nobody. */
  has(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  emit<K extends keyof Events>(name: K, event: Events[K]): void {
    const set = this.#listeners.get(name);
    if (set === undefined || set.size === 0) return;
    for (const listener of [...set]) {
      try {
        listener(event as never);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }
}
