/** What an instance leaves on a virtual node: asked of the parts themselves and read from the store's file, beside what the daemon says. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { bdev, createSpdkClient } from 'spdk-client';
import type { Layout } from '../../tools/demo/layout.ts';
import { type Traces, tracesOf } from '../../tools/demo/traces.ts';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';

/** Tables of the store that hold nothing while there is no instance. */
const TABLES = ['functions', 'bindings', 'ports', 'secrets'] as const;

/** Names of everything that is there, by kind. What stays behind in good order (volumes of others, copies of images) is left out. */
export async function nodeTraces(dpu: VirtualDpu, layout: Layout, keptVolumes: readonly string[]): Promise<Traces> {
  const [traces, bdevs] = await Promise.all([tracesOf(dpu), bdevsOf(dpu, keptVolumes)]);
  return { ...traces, bdevs, files: filesOf(dpu, layout, keptVolumes), rows: rowsOf(layout) };
}

/** Sessions that are open at the host's BMC, our own question not counted. */
export async function bmcSessions({ bmc }: VirtualDpu): Promise<number> {
  const { address, port } = bmc.ipmi;
  const way = [
    '-I',
    'lanplus',
    '-C',
    '3',
    '-H',
    address,
    '-p',
    String(port),
    '-U',
    bmc.username,
    '-f',
    bmc.passwordFile,
  ];
  const { stdout } = await promisify(execFile)('ipmitool', [...way, 'session', 'info', 'active'], { timeout: 20_000 });
  const active = /^active sessions\s*: (\d+)$/m.exec(stdout)?.[1];
  if (active === undefined) throw new Error(`ipmitool tells of no sessions: ${stdout}`);
  return Number(active) - 1;
}

async function bdevsOf(dpu: VirtualDpu, kept: readonly string[]): Promise<readonly string[]> {
  const spdk = createSpdkClient({ address: { path: dpu.storage.spdk } });
  try {
    const bdevs = await spdk.call(bdev.list, {});
    const stays = (name: string): boolean =>
      name === 'dpu-compute-base' || /\/img-/.test(name) || kept.some((each) => name.endsWith(`/vol-${each}`));
    return bdevs
      .map(({ name, aliases }) => (aliases?.[0]?.includes('/') ? aliases[0] : name))
      .filter((name) => !stays(name));
  } finally {
    spdk.close();
  }
}

function filesOf(dpu: VirtualDpu, layout: Layout, kept: readonly string[]): readonly string[] {
  const stays = (name: string): boolean =>
    /\.db(-wal|-shm|-journal)?$|\.lvols$/.test(name) || kept.some((each) => name === `${each}.volume.json`);
  return [layout.state, layout.images, layout.snicState, dpu.storage.volumesDir].flatMap((dir) =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile() && !stays(file.name))
      .map((file) => join(file.parentPath, file.name)),
  );
}

function rowsOf({ state }: Layout): readonly string[] {
  const db = new Database(join(state, 'soc-daemon.db'), { readonly: true });
  try {
    return TABLES.flatMap((table) => {
      const rows = db.prepare(`select count(*) as n from ${table}`).get() as { readonly n: number };
      return rows.n === 0 ? [] : [`${rows.n} of ${table}`];
    });
  } finally {
    db.close();
  }
}
