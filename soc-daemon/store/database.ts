import type { DatabaseOptions } from '../../kit/sqlite.ts';
import { initial } from './migrations/0001-initial.ts';

/** `DPUC`, the store's mark in its file's header. */
export const applicationId = 0x44505543;

/** What the store's database is. */
export function storeDatabase(file: string, durability: 'full' | 'off'): DatabaseOptions {
  return { file, applicationId, migrations: [initial], durability };
}
