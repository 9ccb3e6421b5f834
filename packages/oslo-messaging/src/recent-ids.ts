/** A set that forgets its oldest members beyond `limit`. */
export type RecentIds = {
  has(id: string): boolean;
  add(id: string): void;
};

/** Makes an empty one; `limit` at least 1. */
export function createRecentIds(limit: number): RecentIds {
  const ids = new Set<string>();
  return {
    has: (id) => ids.has(id),
    add(id) {
      ids.delete(id);
      ids.add(id);
      for (const oldest of ids) {
        if (ids.size <= limit) break;
        ids.delete(oldest);
      }
    },
  };
}
