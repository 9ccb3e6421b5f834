import type { Migration } from '../../../kit/sqlite.ts';

/** The first schema. Times are Unix milliseconds; `seq` gives the order in which rows came. */
export const initial: Migration = {
  version: 1,
  sql: `
CREATE TABLE identity (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  uuid TEXT NOT NULL,
  hostname TEXT NOT NULL
) STRICT;

CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE key_check (only INTEGER PRIMARY KEY CHECK (only = 1), sealed BLOB NOT NULL) STRICT;

CREATE TABLE instances (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN
    ('building', 'active', 'stopped', 'paused', 'suspended', 'error', 'deleting', 'migrating', 'deleted')),
  flavor TEXT NOT NULL,
  claimed INTEGER NOT NULL CHECK (claimed IN (0, 1)),
  whole_host INTEGER NOT NULL CHECK (whole_host IN (0, 1)),
  todo TEXT,
  generation INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  ssh_keys TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_instance_has_the_host ON instances (whole_host) WHERE claimed = 1 AND whole_host = 1;
CREATE INDEX live_instances ON instances (seq) WHERE state <> 'deleted';

CREATE TABLE operations (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  plan_version INTEGER NOT NULL,
  instance TEXT NOT NULL REFERENCES instances (id),
  state TEXT NOT NULL CHECK (state IN
    ('queued', 'running', 'unwinding', 'stuck', 'succeeded', 'failed', 'cancelled')),
  request TEXT NOT NULL,
  input TEXT,
  state_before TEXT,
  cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
  waits_for TEXT,
  result TEXT,
  error TEXT,
  requested_by TEXT NOT NULL,
  request_id TEXT,
  key TEXT,
  fingerprint TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_operation_of_a_key ON operations (key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX one_operation_at_a_time ON operations (instance)
  WHERE kind <> 'destroy' AND state IN ('queued', 'running', 'unwinding', 'stuck');
CREATE UNIQUE INDEX one_destroy_at_a_time ON operations (instance)
  WHERE kind = 'destroy' AND state IN ('queued', 'running', 'unwinding', 'stuck');
CREATE INDEX unended_operations ON operations (seq) WHERE state IN ('queued', 'running', 'unwinding', 'stuck');
CREATE INDEX operations_of_an_instance ON operations (instance, seq);

CREATE TABLE steps (
  operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  position INTEGER NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('pending', 'doing', 'done', 'undoing', 'undone')),
  attempts INTEGER NOT NULL DEFAULT 0,
  output TEXT,
  error TEXT,
  started_at INTEGER,
  ended_at INTEGER,
  PRIMARY KEY (operation, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
  id TEXT PRIMARY KEY,
  operation TEXT NOT NULL,
  instance TEXT NOT NULL,
  keep_with TEXT NOT NULL CHECK (keep_with IN ('operation', 'instance', 'binding')),
  function_id TEXT,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX secrets_of_an_operation ON secrets (operation);
CREATE INDEX secrets_of_an_instance ON secrets (instance);

CREATE TABLE functions (
  id TEXT PRIMARY KEY,
  instance TEXT NOT NULL REFERENCES instances (id),
  type TEXT NOT NULL,
  class TEXT NOT NULL,
  role TEXT NOT NULL,
  phase TEXT NOT NULL,
  mac TEXT,
  bdf TEXT,
  bdf_state TEXT NOT NULL,
  representor TEXT,
  vuid TEXT
) STRICT;
CREATE INDEX functions_of_an_instance ON functions (instance);

CREATE TABLE bindings (
  function_id TEXT PRIMARY KEY,
  instance TEXT NOT NULL REFERENCES instances (id),
  kind TEXT NOT NULL CHECK (kind IN ('port', 'volume')),
  key TEXT NOT NULL,
  phase TEXT NOT NULL,
  made_for_instance INTEGER NOT NULL,
  ips TEXT NOT NULL,
  boot INTEGER NOT NULL,
  read_only INTEGER NOT NULL,
  size_bytes INTEGER,
  bdev TEXT,
  connection_secret TEXT
) STRICT;
CREATE INDEX bindings_of_an_instance ON bindings (instance);

CREATE TABLE ports (
  id TEXT PRIMARY KEY,
  subnet TEXT,
  instance TEXT,
  mac TEXT NOT NULL UNIQUE,
  ip INTEGER,
  ips TEXT NOT NULL,
  made_for_instance INTEGER NOT NULL,
  UNIQUE (subnet, ip)
) STRICT;

CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  method TEXT NOT NULL,
  args TEXT NOT NULL,
  instance TEXT
) STRICT;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  by TEXT NOT NULL,
  action TEXT NOT NULL,
  instance TEXT,
  operation TEXT
) STRICT;
`,
};
