/**
 * Port additions and removals, one transaction each: ovsdb-client against `ovs-vsctl --no-wait` (a process each) and Python's
 * ovs.db.idl, on servers of one kind in one run; then the time and memory to load 10,000 ports into the cache.
 * The best of several rounds counts, the contenders taking turns, since other work on the machine disturbs each of them.
 * Arguments: ports (1000), ports of ovs-vsctl, scaled to as many (200), ports to load (10000), rounds (3).
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createClient, namedUuid, type Operation, type Uuid } from 'ovsdb-client';
import { startServer, type TestServer, VSWITCH_SCHEMA } from '../../packages/ovsdb-client/test/ovsdb-server.ts';
import type { VSwitch } from '../../packages/ovsdb-client/test/vswitch-tables.ts';

const run = promisify(execFile);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)); // the servers go with us
const [ports = 1000, vsctlPorts = 200, loadPorts = 10_000, rounds = 3] = process.argv.slice(2).map(Number);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

type Seconds = { readonly add: number; readonly remove: number };

const bump = { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['next_cfg', '+=', 1]] } as const;

function addition(bridge: Uuid, name: string, tail = ''): Operation<VSwitch>[] {
  const ids = { 'iface-id': `8a1ff0a2-9d7b-4a52-8d2c-${name.padStart(12, '0')}`, 'attached-mac': 'fa:16:3e:00:00:01' };
  return [
    {
      op: 'insert',
      table: 'Interface',
      row: { name, type: 'internal', ...(tail === '' ? {} : { external_ids: ids }) },
      uuidName: `i${tail}`,
    },
    {
      op: 'insert',
      table: 'Port',
      row: { name, interfaces: [namedUuid(`i${tail}`)], external_ids: { owner: 'bench' } },
      uuidName: `p${tail}`,
    },
    {
      op: 'mutate',
      table: 'Bridge',
      where: [['_uuid', '==', bridge]],
      mutations: [['ports', 'insert', namedUuid(`p${tail}`)]],
    },
  ];
}

async function withServer<R>(work: (server: TestServer) => Promise<R>): Promise<R> {
  const server = await startServer();
  try {
    await server.vsctl('init');
    await server.vsctl('add-br', 'br-int');
    return await work(server);
  } finally {
    await server.stop();
  }
}

/** With the same tables in a cache as the others keep; `atOnce` transactions are under way together. */
function ours(atOnce: number): Promise<Seconds> {
  return withServer(async (server) => {
    await using client = createClient({ address: server.address });
    const db = client.database<VSwitch>('Open_vSwitch');
    const cache = await db.monitor({
      Open_vSwitch: { columns: ['bridges', 'next_cfg'] },
      Bridge: { columns: ['name', 'ports'], indexes: ['name'] },
      Port: { columns: ['name', 'interfaces', 'external_ids'], indexes: ['name'] },
      Interface: { columns: ['name', 'type'] },
    });
    const bridge = cache.table('Bridge').first('name', 'br-int')?._uuid;
    if (bridge === undefined) throw new Error('no bridge');
    const each = async (step: (i: number) => Promise<unknown>) => {
      let next = 0;
      const worker = async () => {
        for (let i = next++; i < ports; i = next++) await step(i);
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
    };
    const start = performance.now();
    await each((i) => db.transact([...addition(bridge, `p${i}`), bump]));
    const added = performance.now();
    await each((i) => {
      const port = cache.table('Port').first('name', `p${i}`);
      if (port === undefined) throw new Error(`no port p${i}`);
      return db.transact([
        {
          op: 'mutate',
          table: 'Bridge',
          where: [['_uuid', '==', bridge]],
          mutations: [['ports', 'delete', port._uuid]],
        },
        bump,
      ]);
    });
    const removed = performance.now();
    if (cache.table('Port').size !== 1) throw new Error('ports were left');
    return { add: (added - start) / 1000, remove: (removed - added) / 1000 };
  });
}

function vsctl(): Promise<Seconds> {
  return withServer(async (server) => {
    const start = performance.now();
    for (let i = 0; i < vsctlPorts; i++) {
      await server.vsctl('add-port', 'br-int', `p${i}`, '--', 'set', 'Interface', `p${i}`, 'type=internal');
    }
    const added = performance.now();
    for (let i = 0; i < vsctlPorts; i++) await server.vsctl('del-port', 'br-int', `p${i}`);
    const scale = ports / vsctlPorts / 1000;
    return { add: (added - start) * scale, remove: (performance.now() - added) * scale };
  });
}

function idl(): Promise<Seconds> {
  return withServer(async (server) => {
    const args = [here('ovsdb-client-idl.py'), server.address, VSWITCH_SCHEMA, String(ports)];
    const { stdout } = await run('/usr/bin/python3', args, { timeout: 300_000 });
    return JSON.parse(stdout) as Seconds;
  });
}

type Load = { readonly seconds: number; readonly heldMiB: number; readonly peakRssMiB: number; readonly ports: number };

function load(): Promise<Load> {
  return withServer(async (server) => {
    await using client = createClient({ address: server.address });
    const db = client.database<VSwitch>('Open_vSwitch');
    const [{ rows }] = await db.transact([{ op: 'select', table: 'Bridge', where: [], columns: ['_uuid'] }]);
    const bridge = rows[0]?._uuid;
    if (bridge === undefined) throw new Error('no bridge');
    for (let from = 0; from < loadPorts; from += 500) {
      const names = Array.from({ length: Math.min(500, loadPorts - from) }, (_, i) => i);
      await db.transact(names.flatMap((i) => addition(bridge, `p${from + i}`, `${i}`)));
    }
    const { stdout } = await run(process.execPath, ['--expose-gc', here('ovsdb-client-load.ts'), server.address]);
    return JSON.parse(stdout) as Load;
  });
}

const total = (seconds: Seconds) => seconds.add + seconds.remove;
const best = (all: readonly Seconds[]): Seconds => {
  const [first, ...others] = all;
  if (first === undefined) throw new Error('no rounds');
  return others.reduce((a, b) => (total(b) < total(a) ? b : a), first);
};

const taken: { one: Seconds[]; many: Seconds[]; python: Seconds[]; load: Load[] } = {
  one: [],
  many: [],
  python: [],
  load: [],
};
for (let round = 0; round < rounds; round++) {
  taken.one.push(await ours(1));
  taken.python.push(await idl());
  taken.many.push(await ours(32));
  taken.load.push(await load());
}
const processes = await vsctl();
const one = best(taken.one);
const many = best(taken.many);
const python = best(taken.python);
const loaded = taken.load.reduce((a, b) => (b.seconds < a.seconds ? b : a));

const row = (name: string, seconds: Seconds) => ({
  name,
  'add s': seconds.add.toFixed(3),
  'remove s': seconds.remove.toFixed(3),
  'ms an operation': ((total(seconds) / ports / 2) * 1000).toFixed(3),
  'times ours': (total(seconds) / total(one)).toFixed(1),
});
console.table([
  row('ovsdb-client, one after the other', one),
  row('ovsdb-client, 32 at once', many),
  row('Python ovs.db.idl', python),
  row(`ovs-vsctl --no-wait (${vsctlPorts} measured)`, processes),
]);
console.table([{ ...loaded }]);
console.log(
  JSON.stringify({
    ports,
    vsctlPorts,
    ours: one,
    oursAtOnce: many,
    idl: python,
    vsctl: processes,
    ratio: { idl: total(python) / total(one), vsctl: total(processes) / total(one) },
    load: loaded,
  }),
);
