import type { Migration } from '../../../kit/sqlite.ts';

/** What an instance is told of itself, as JSON; null: nothing that is known. */
export const guest: Migration = {
  version: 4,
  sql: 'ALTER TABLE instances ADD COLUMN guest TEXT;',
};
