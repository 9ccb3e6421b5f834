import type { Migration } from '../../../kit/sqlite.ts';

/** An instance may be `rescued`. SQLite can't change a check in place, so the column is made anew. */
export const rescued: Migration = {
  version: 3,
  sql: `
DROP INDEX live_instances;
ALTER TABLE instances ADD COLUMN next_state TEXT NOT NULL DEFAULT 'building' CHECK (next_state IN
  ('building', 'active', 'stopped', 'paused', 'suspended', 'rescued', 'error', 'deleting', 'migrating', 'deleted'));
UPDATE instances SET next_state = state;
ALTER TABLE instances DROP COLUMN state;
ALTER TABLE instances RENAME COLUMN next_state TO state;
CREATE INDEX live_instances ON instances (seq) WHERE state <> 'deleted';
`,
};
