import { type Clock, timestamp } from '../../core/ports/clock.ts';
import type { ServiceEvent } from '../../core/ports/compute-service.ts';

/** Events that watchers are told of; once there has been one who may come back, the last ones are held. */
export interface EventFeed {
  /** Whether somebody follows every event, or may come back for those that he missed. Before, what only tells of progress may be left out. */
  watched(): boolean;
  /** `read` gives the object as it now is; asked only where somebody looks. */
  emit(type: ServiceEvent['type'], read: () => ServiceEvent['data']): void;
  subscribe(listener: (event: ServiceEvent) => void, since?: number): () => void;
}

const held = 1000;

/** An event whose object is read when it is first asked for. */
function eventOf(id: number, at: string, type: ServiceEvent['type'], read: () => ServiceEvent['data']): ServiceEvent {
  let data: ServiceEvent['data'] | undefined;
  return {
    id,
    at,
    type,
    get data() {
      data ??= read();
      return data;
    },
  };
}

/** Makes a feed; ids start at 1. */
export function createEventFeed(clock: Clock): EventFeed {
  const recent: ServiceEvent[] = [];
  const listeners = new Set<(event: ServiceEvent) => void>();
  let id = 0;
  let watched = false;
  return {
    watched: () => watched,
    emit(type, read) {
      id += 1;
      const event = eventOf(id, timestamp(clock), type, read);
      if (watched) {
        // as it is now, not as it will be when somebody comes back
        recent.push({ ...event });
        if (recent.length > held) recent.shift();
      }
      for (const listener of listeners) listener(event);
    },
    subscribe(listener, since) {
      if (since !== undefined) {
        watched = true;
        for (const event of recent) if (event.id > since) listener(event);
      }
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
