import { createClient, namedUuid, OperationError, type Uuid } from 'ovsdb-client';

/** The tables and columns that this program uses; `generateTypes` writes all of a schema. */
type Tables = {
  readonly Open_vSwitch: { readonly bridges: ReadonlySet<Uuid>; readonly next_cfg: number };
  readonly Bridge: {
    readonly name: string;
    readonly ports: ReadonlySet<Uuid>;
    readonly other_config: ReadonlyMap<string, string>;
  };
  readonly Port: { readonly name: string; readonly interfaces: ReadonlySet<Uuid>; readonly tag: number | null };
  readonly Interface: { readonly name: string; readonly type: string };
};

await using client = createClient({ address: process.env.OVSDB ?? 'unix:/run/openvswitch/db.sock' });
const db = client.database<Tables>('Open_vSwitch');

// A cache that follows the server, whatever happens to the connection.
const cache = await db.monitor({
  Bridge: { columns: ['name', 'ports'], indexes: ['name', 'ports'] },
  Port: { columns: ['name', 'tag'], indexes: ['name'] },
});
cache.on('change', (change) => {
  if (change.table === 'Port') console.log(change.kind, (change.after ?? change.before).name);
});

// A bridge with one port, in one transaction.
const [bridge] = await db.transact([
  {
    op: 'insert',
    table: 'Bridge',
    row: { name: 'br-demo', ports: [namedUuid('port')], other_config: { 'disable-in-band': 'true' } },
    uuidName: 'bridge',
  },
  { op: 'insert', table: 'Port', row: { name: 'demo0', interfaces: [namedUuid('nic')], tag: 7 }, uuidName: 'port' },
  { op: 'insert', table: 'Interface', row: { name: 'demo0', type: 'internal' }, uuidName: 'nic' },
  { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', namedUuid('bridge')]] },
]);
const port = cache.table('Port').first('name', 'demo0');
if (port === undefined) throw new Error('the cache has seen the port before transact settles');
console.log('VLAN', port.tag, 'on', cache.table('Bridge').first('ports', port._uuid)?.name);

// Change what nobody else changed meanwhile.
await db.readModifyWrite({
  table: 'Port',
  where: [['name', '==', 'demo0']],
  columns: ['tag'],
  change: ([row]) => [
    { op: 'update', table: 'Port', where: [['name', '==', 'demo0']], row: { tag: (row?.tag ?? 0) + 1 } },
  ],
});
console.log('VLAN', cache.table('Port').get(port._uuid)?.tag);

try {
  await db.transact([{ op: 'update', table: 'Port', where: [['_uuid', '==', port._uuid]], row: { tag: 5000 } }]);
} catch (error) {
  if (error instanceof OperationError) console.log(error.operation, error.peerCode);
}

await db.transact([
  { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'delete', [bridge.uuid]]] },
]);
