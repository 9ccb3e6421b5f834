/** OVN's central and its controller, on private sockets: the bridge's flows are then OVN's, and ports bind by their iface-id. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OvnPart } from '../description.ts';
import { socNetns } from '../netns.ts';
import type { PartContext } from '../part.ts';
import { socketPath } from '../paths.ts';
import { endNamed, ensureProcess, type ProcessOwner, runTool, waitFor, waitForSocket } from '../process.ts';
import { BRIDGE, LOG_OPTIONS, ovsOf, removeSockets, vsctl } from './ovs.ts';
import { gatewayMac, TENANT, TENANT_PORT } from './tenant.ts';

/** The logical switch that the tenant network's gateway is on. */
const TENANT_SWITCH = 'tenant';

/** Starts what does not run of OVN. OVS must run. `tenant`: put the tenant network's gateway on a logical switch. */
export async function startOvn(context: PartContext, options: { readonly tenant: boolean }): Promise<OvnPart> {
  const { stateDir, name } = context;
  const dir = join(stateDir, 'ovn');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const env = { ...ovsOf(stateDir).env, OVN_RUNDIR: dir, OVN_DBDIR: dir, OVN_LOGDIR: dir };
  const netns = socNetns(name);
  const [north, south] = await Promise.all([
    startDatabase(context, 'ovn-nb', '/usr/share/ovn/ovn-nb.ovsschema'),
    startDatabase(context, 'ovn-sb', '/usr/share/ovn/ovn-sb.ovsschema'),
  ]);
  await Promise.all([
    runTool(['ovn-nbctl', `--db=${north.db}`, '--timeout=20', '--no-wait', 'init']),
    runTool(['ovn-sbctl', `--db=${south.db}`, '--timeout=20', 'init']),
    vsctl(
      context,
      ...['set', 'Open_vSwitch', '.', `external_ids:ovn-remote=${escaped(south.db)}`],
      ...['external_ids:ovn-encap-type=geneve', 'external_ids:ovn-encap-ip=127.0.0.1'],
      ...[`external_ids:ovn-bridge=${BRIDGE}`, 'external_ids:ovn-bridge-datapath-type=netdev'],
    ),
  ]);
  const [northd, controller] = await Promise.all([
    ensureProcess(
      {
        ...{ stateDir, name: 'ovn-northd', netns, env },
        argv: [
          ...(['ovn-northd', `--ovnnb-db=${north.db}`, `--ovnsb-db=${south.db}`] as const),
          `--unixctl=${socketPath(dir, 'ovn-northd.ctl')}`,
          ...LOG_OPTIONS,
        ],
      },
      (owner) => waitForSocket(socketPath(dir, 'ovn-northd.ctl'), { owner }),
    ),
    ensureProcess(
      {
        ...{ stateDir, name: 'ovn-controller', netns, env },
        argv: [
          ...(['ovn-controller', ovsOf(stateDir).db, `--pidfile=${join(dir, 'ovn-controller.pid')}`] as const),
          ...LOG_OPTIONS,
        ],
      },
      (owner) => waitForControl(dir, owner),
    ),
  ]);
  if (options.tenant) await placeGateway(context, north.db);
  await runTool(['ovn-nbctl', `--db=${north.db}`, '--timeout=20', '--wait=hv', 'sync'], { timeoutMs: 25_000 });
  return {
    northbound: north.db,
    southbound: south.db,
    tenantSwitch: options.tenant ? TENANT_SWITCH : null,
    pids: {
      northboundServer: north.pid,
      southboundServer: south.pid,
      northd: northd.pid,
      controller: controller.pid,
    },
  };
}

/** Ends OVN; its databases stay. One that is not there is fine. */
export async function stopOvn(context: Pick<PartContext, 'stateDir'>): Promise<void> {
  for (const name of ['ovn-controller', 'ovn-northd', 'ovn-sb', 'ovn-nb']) await endNamed(context.stateDir, name);
  await removeSockets(join(context.stateDir, 'ovn'));
}

async function startDatabase(
  context: PartContext,
  name: 'ovn-nb' | 'ovn-sb',
  schema: string,
): Promise<{ readonly db: string; readonly pid: number }> {
  const { stateDir } = context;
  const dir = join(stateDir, 'ovn');
  const file = join(dir, `${name}.db`);
  const socket = socketPath(dir, `${name}.sock`);
  if (!existsSync(file)) await runTool(['ovsdb-tool', 'create', file, schema]);
  const record = await ensureProcess(
    {
      ...{ stateDir, name, netns: socNetns(context.name) },
      argv: [
        ...(['ovsdb-server', file, `--remote=punix:${socket}`] as const),
        `--unixctl=${socketPath(dir, `${name}.ctl`)}`,
        ...LOG_OPTIONS,
      ],
    },
    (owner) => waitForSocket(socket, { owner }),
  );
  return { db: `unix:${socket}`, pid: record.pid };
}

/** ovn-controller names its control socket itself: by its pid. */
async function waitForControl(dir: string, owner: ProcessOwner): Promise<void> {
  const socket = socketPath(dir, `ovn-controller.${owner.record.pid}.ctl`);
  await waitFor(async () => existsSync(socket), { what: 'ovn-controller', owner });
}

async function placeGateway(context: PartContext, db: string): Promise<void> {
  const port = TENANT_PORT.ifaceId;
  await runTool([
    ...(['ovn-nbctl', `--db=${db}`, '--timeout=20', '--', '--may-exist', 'ls-add', TENANT_SWITCH] as const),
    ...['--', '--may-exist', 'lsp-add', TENANT_SWITCH, port],
    ...['--', 'lsp-set-addresses', port, `${gatewayMac(context.name)} ${TENANT.gateway} ${TENANT.metadata}`],
  ]);
}

/** A value for ovs-vsctl, which reads colons in it only inside quotes. */
function escaped(value: string): string {
  return JSON.stringify(value);
}
