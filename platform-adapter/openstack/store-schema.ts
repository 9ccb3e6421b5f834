import type { DatabaseOptions, Durability } from '../../kit/sqlite.ts';

/** `DPUO`, the mark in the file's header. */
const applicationId = 0x4450554f;

const initial = {
  version: 1,
  sql: `
    CREATE TABLE flows (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      instance TEXT NOT NULL,
      method TEXT NOT NULL,
      plan_version INTEGER NOT NULL,
      state TEXT NOT NULL,
      -- sealed JSON: arguments and request context; erased at the end
      request BLOB,
      -- sealed JSON: what the plan is made from; null until the flow left the queue
      input BLOB,
      -- sealed JSON
      result BLOB,
      error TEXT,
      cancel_requested INTEGER NOT NULL DEFAULT 0,
      waits_for TEXT,
      request_id TEXT NOT NULL,
      -- what makes a cast the same one: oslo's id of the message, and what it asks for
      unique_id TEXT UNIQUE,
      key TEXT NOT NULL UNIQUE,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX flows_by_instance ON flows (instance, seq);
    CREATE TABLE steps (
      flow TEXT NOT NULL REFERENCES flows (id) ON DELETE CASCADE,
      position INTEGER NOT NULL,
      name TEXT NOT NULL,
      phase TEXT NOT NULL,
      attempts INTEGER NOT NULL DEFAULT 0,
      -- sealed JSON; erased at the end
      output BLOB,
      error TEXT,
      started_at INTEGER,
      ended_at INTEGER,
      PRIMARY KEY (flow, name)
    ) STRICT, WITHOUT ROWID;
  `,
} as const;

/** The adapter's own database: the journal of flows. */
export function flowDatabase(file: string, durability: Durability): DatabaseOptions {
  return { file, applicationId, migrations: [initial], durability };
}
