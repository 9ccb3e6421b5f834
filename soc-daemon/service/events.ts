import { type Clock, timestamp } from '../../core/ports/clock.ts';
import type { ServiceEvent } from '../../core/ports/compute-service.ts';

/** Events that watchers are told of; the last ones are held for those who come back. */
export interface EventFeed {
  emit(type: ServiceEvent['type'], data: ServiceEvent['data']): void;
  subscribe(listener: (event: ServiceEvent) => void, since?: number): () => void;
}

const held = 1000;

/** Makes a feed; ids start at 1. */
export function createEventFeed(clock: Clock): EventFeed {
  const recent: ServiceEvent[] = [];
  const listeners = new Set<(event: ServiceEvent) => void>();
  let id = 0;
  return {
    emit(type, data) {
      id += 1;
      const event: ServiceEvent = { id, at: timestamp(clock), type, data };
      recent.push(event);
      if (recent.length > held) recent.shift();
      for (const listener of listeners) listener(event);
    },
    subscribe(listener, since) {
      if (since !== undefined) for (const event of recent) if (event.id > since) listener(event);
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
