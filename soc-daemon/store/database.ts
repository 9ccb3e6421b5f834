import type { DatabaseOptions, Durability } from '../../kit/sqlite.ts';
import { initial } from './migrations/0001-initial.ts';
import { qos } from './migrations/0002-qos.ts';
import { rescued } from './migrations/0003-rescued.ts';
import { guest } from './migrations/0004-guest.ts';

/** `DPUC`, the store's mark in its file's header. */
export const applicationId = 0x44505543;

/** Unsound rows that the daemon would meet at once: SQLite looks at pages, not at what columns hold. Those of schema version 1. */
const unsoundAtFirst = `SELECT 1 FROM instances WHERE NOT (json_valid(flavor) AND json_valid(metadata) AND json_valid(ssh_keys)
    AND json_valid(coalesce(todo, 'null')))
  UNION ALL SELECT 1 FROM operations WHERE state NOT IN ('succeeded', 'failed', 'cancelled')
    AND NOT (json_valid(request) AND json_valid(fingerprint) AND json_valid(coalesce(input, 'null')))
  UNION ALL SELECT 1 FROM bindings WHERE NOT json_valid(ips)
  UNION ALL SELECT 1 FROM ports WHERE NOT json_valid(ips)
  UNION ALL SELECT 1 FROM outbox WHERE NOT json_valid(args)`;

/** By schema version: each has all that the one before it has. */
const unsoundWithQos = `${unsoundAtFirst} UNION ALL SELECT 1 FROM bindings WHERE NOT json_valid(coalesce(qos, 'null'))`;
const unsoundWithGuest = `${unsoundWithQos} UNION ALL SELECT 1 FROM instances WHERE NOT json_valid(coalesce(guest, 'null'))`;
const unsound = [unsoundAtFirst, unsoundWithQos, unsoundWithQos, unsoundWithGuest];

/** What the store's database is. */
export function storeDatabase(file: string, durability: Durability): DatabaseOptions {
  return { file, applicationId, migrations: [initial, qos, rescued, guest], durability, unsound };
}
