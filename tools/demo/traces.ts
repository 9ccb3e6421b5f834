/** What an instance leaves in the parts of a virtual DPU: asked of the parts themselves, not of the daemon. */
import { connectQmp } from 'qmp-client';
import { createSpdkClient, vhost } from 'spdk-client';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { runInSoc } from '../../virtual-dpu/soc.ts';

/** Kind of thing -> names of those that are there. */
export type Traces = Readonly<Record<string, readonly string[]>>;

/** Lists them. Things that belong to the DPU itself are left out. */
export async function tracesOf(dpu: VirtualDpu): Promise<Traces> {
  const [taps, ports, spdk, devices] = await Promise.all([tapsOf(dpu), portsOf(dpu), spdkOf(dpu), devicesOf(dpu)]);
  return { taps, 'switch ports': ports, ...spdk, 'PCIe devices': devices };
}

async function tapsOf(dpu: VirtualDpu): Promise<readonly string[]> {
  const text = await runInSoc(dpu, ['ip', '-json', 'link', 'show', 'type', 'tun']);
  const links = JSON.parse(text === '' ? '[]' : text) as readonly { readonly ifname?: string }[];
  return links.flatMap(({ ifname }) => (ifname?.startsWith('pf') ? [ifname] : []));
}

async function portsOf(dpu: VirtualDpu): Promise<readonly string[]> {
  const text = await runInSoc(dpu, ['ovs-vsctl', '--timeout=10', 'list-ports', dpu.network.bridge]);
  return text.split('\n').filter((name) => name.startsWith('pf'));
}

async function spdkOf(dpu: VirtualDpu): Promise<Traces> {
  const spdk = createSpdkClient({ address: { path: dpu.storage.spdk } });
  try {
    const controllers = await spdk.call(vhost.list, {});
    return { 'disk controllers': controllers.map(({ ctrlr }) => ctrlr) };
  } finally {
    spdk.close();
  }
}

async function devicesOf(dpu: VirtualDpu): Promise<readonly string[]> {
  const qmp = await connectQmp({ path: dpu.host.qmp.debug });
  try {
    const found = (await qmp.execute('qom-list', { path: '/machine/peripheral' })) as readonly {
      readonly name: string;
      readonly type: string;
    }[];
    return found.filter(({ name, type }) => type.startsWith('child<') && !/^rp\d+$/.test(name)).map(({ name }) => name);
  } finally {
    await qmp.close();
  }
}
