/** What docs/openstack.md says that users can do is what the flows do. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { refusedFlows } from '../../platform-adapter/openstack/flows/refuse.ts';
import { flowTable, innerFlows } from '../../platform-adapter/openstack/flows/table.ts';
import { ROOT } from '../architecture/project-files.ts';

interface Row {
  readonly feature: string;
  readonly refused: boolean;
  readonly methods: readonly string[];
}

const text = readFileSync(join(ROOT, 'docs/openstack.md'), 'utf8');
const rows: readonly Row[] = text
  .slice(text.indexOf('<!-- matrix -->'), text.indexOf('<!-- end -->'))
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| feature'))
  .map((line) => {
    const [feature = '', bareMetal, machine, methods = ''] = line
      .slice(1)
      .split('|')
      .map((cell) => cell.trim());
    return {
      feature,
      refused: bareMetal === 'refused' && machine === 'refused',
      methods: [...methods.matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
    };
  });
const named = new Map(rows.flatMap((row) => row.methods.map((method) => [method, row] as const)));

/** Methods that no user asks for by themselves, or that nova never sends where every disk is a volume. */
const unlisted = new Set([
  'add_fixed_ip_to_instance',
  'backup_instance',
  'live_migration_abort',
  'live_migration_force_complete',
  'remove_fixed_ip_from_instance',
  'remove_volume_connection',
  'rollback_live_migration_at_destination',
  'shelve_instance',
  'snapshot_instance',
  'volume_snapshot_create',
  'volume_snapshot_delete',
]);

it('says of every method of nova whether a node does it', () => {
  expect(rows.length).toBeGreaterThan(20);
  const methods = Object.keys(flowTable).filter((method) => !innerFlows.has(method) && !unlisted.has(method));
  expect(methods.filter((method) => !named.has(method))).toEqual([]);
});

it('calls refused what is refused, and nothing else', () => {
  const isRefused = (method: string): boolean => flowTable[method] === refusedFlows[method];
  const wrong = Object.keys(flowTable).filter((method) => {
    const row = named.get(method);
    return row !== undefined && row.methods.length > 0 && method !== 'swap_volume' && row.refused !== isRefused(method);
  });
  expect(wrong).toEqual([]);
});
