import type { Migration } from '../../../kit/sqlite.ts';

/** Limits of a port, as JSON; null: none. */
export const qos: Migration = {
  version: 2,
  sql: 'ALTER TABLE bindings ADD COLUMN qos TEXT;',
};
