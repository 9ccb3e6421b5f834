import type { Migration } from '../../../kit/sqlite.ts';

/** The functions. */
export const initial: Migration = {
  version: 1,
  sql: `
    CREATE TABLE functions (
      number INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      type TEXT NOT NULL CHECK (type IN ('PF', 'VF')),
      class TEXT NOT NULL CHECK (class IN ('virtio-net', 'virtio-blk', 'nvme')),
      mac TEXT UNIQUE,
      features TEXT NOT NULL,
      parent TEXT,
      mark TEXT,
      reservation TEXT,
      phase TEXT NOT NULL
        CHECK (phase IN ('reserving', 'making', 'made', 'plugging', 'plugged', 'unplugging', 'destroying')),
      bdf TEXT,
      representor TEXT,
      vuid TEXT,
      link TEXT CHECK (link IN ('up', 'down')),
      rate INTEGER,
      change TEXT
    ) STRICT;
  `,
};
