import type { AcceptRequest, AcceptResult } from '../../core/ports/node-store.ts';
import type { Flavor } from '../../core/records.ts';
import type { Sql } from '../../kit/sqlite.ts';
import { unended } from './rows.ts';

/**
 * Why a share of the host can't be had, or null. An instance counts from the acceptance of its build until it is undone or destroyed; one that is
 * being resized counts with the larger of its sizes.
 */
export function exhausted(sql: Sql, instance: string, share: AcceptRequest['share']): AcceptResult | null {
  if (!share) return null;
  const rows = sql(`
    SELECT instances.flavor AS flavor, operations.request AS request FROM instances
    LEFT JOIN operations ON operations.instance = instances.id AND operations.kind = 'resize'
      AND operations.state IN ${unended}
    WHERE claimed = 1 AND instances.id <> ?
  `).all(instance) as readonly { readonly flavor: string; readonly request: string | null }[];
  const used = rows.map(({ flavor, request }) => {
    const now = JSON.parse(flavor) as Flavor;
    const next = request === null ? now : (JSON.parse(request) as { readonly flavor: Flavor }).flavor;
    return { vcpus: Math.max(now.vcpus, next.vcpus), memoryMib: Math.max(now.memory_mib, next.memory_mib) };
  });
  for (const what of ['vcpus', 'memoryMib'] as const) {
    const total = share.of[what];
    const free = total - used.reduce((sum, each) => sum + each[what], 0);
    if (total > 0 && share[what] > free) return { outcome: 'exhausted', what, wanted: share[what], free, total };
  }
  return null;
}
