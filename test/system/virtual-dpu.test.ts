/** A virtual DPU comes up, is mended and goes away, and leaves nothing. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { connectQmp, pciFunctions } from '../../packages/qmp-client/src/index.ts';
import type { VirtualDpu } from '../../virtual-dpu/description.ts';
import { nameOf } from '../../virtual-dpu/paths.ts';
import { markedProcesses, runTool, startTime, waitFor } from '../../virtual-dpu/process.ts';
import { endInSoc, ensureInSoc, runInSoc } from '../../virtual-dpu/soc.ts';
import { down, kill, readVirtualDpu, restart, status, up } from '../../virtual-dpu/virtual-dpu.ts';
import { canHaveVirtualDpus, testDpus } from '../support/virtual-dpu.ts';

const program = join(import.meta.dirname, '../../virtual-dpu/main.ts');
const dpus = testDpus();

afterEach(() => dpus.close());

/** What of a virtual DPU is left on the machine. */
async function remains({ name, stateDir }: Pick<VirtualDpu, 'name' | 'stateDir'>): Promise<readonly string[]> {
  const files = readdirSync(stateDir, { recursive: true, withFileTypes: true });
  return [
    ...(await markedProcesses(stateDir)).map(({ pid }) => `process ${pid}`),
    ...readdirSync('/run/netns').filter((netns) => netns.startsWith(name)),
    ...files.filter((file) => file.isSocket() || file.isFIFO()).map((file) => join(file.parentPath, file.name)),
    ...files.filter((file) => file.name.endsWith('.pid')).map((file) => file.name),
    ...(existsSync(join(stateDir, 'virtual-dpu.json')) ? ['virtual-dpu.json'] : []),
  ];
}

/** Processes of a virtual DPU that no pid file tells of. */
async function unrecorded(stateDir: string): Promise<readonly number[]> {
  const known = (await status(stateDir)).processes.map(({ pid }) => pid);
  const commands = (await markedProcesses(stateDir)).filter(({ pid }) => !known.includes(pid));
  return commands.map(({ pid }) => pid);
}

describe.runIf(canHaveVirtualDpus('the virtual DPU'))('a virtual DPU', { timeout: 120_000 }, () => {
  it('comes up, tells where it is, goes away, and comes up again as the same server', async () => {
    const stateDir = await dpus.stateDir();
    const identities = [];
    for (const _ of [1, 2]) {
      const dpu = await dpus.up({ stateDir });
      expect(await readVirtualDpu(stateDir)).toEqual(dpu);
      expect(await status(stateDir)).toMatchObject({ state: 'up', description: dpu });
      identities.push([dpu.host.uuid, dpu.host.serialNumber]);
      expect(await down({ stateDir })).toEqual([]);
      expect(await remains(dpu)).toEqual([]);
      expect((await status(stateDir)).state).toBe('down');
    }
    expect(identities[1]).toEqual(identities[0]);
    await down({ stateDir });
  });

  it('is found by a second up, which starts nothing, and refuses to be another server', async () => {
    const first = await dpus.up();
    const { stateDir } = first;
    expect(await up({ stateDir })).toEqual(first);
    await expect(up({ stateDir, memoryMib: 256 })).rejects.toMatchObject({ code: 'conflict', field: 'memoryMib' });
    await expect(up({ stateDir, tenant: false })).rejects.toMatchObject({ code: 'conflict', field: 'tenant' });
    await expect(up({ stateDir, arch: 'aarch64' })).rejects.toMatchObject({
      code: expect.stringMatching(/conflict|unavailable/),
    });
    expect(await up({ stateDir })).toEqual(first);
  });

  it('is started once by two who ask at once', async () => {
    const stateDir = await dpus.stateDir();
    const [one, other] = await Promise.all([dpus.up({ stateDir }), dpus.up({ stateDir })]);
    expect(other).toEqual(one);
  });

  it('stands beside another with the same interfaces, and goes without it', async () => {
    const [one, other] = await Promise.all([dpus.up(), dpus.up()]);
    expect(other.name).not.toBe(one.name);
    for (const dpu of [one, other]) {
      await runInSoc(dpu, ['ip', 'tuntap', 'add', 'pf0rep0', 'mode', 'tap']);
      await runInSoc(dpu, ['ovs-vsctl', '--timeout=10', 'add-port', 'br-int', 'pf0rep0']);
      const row = await runInSoc(dpu, ['ovs-vsctl', '--timeout=10', 'get', 'Interface', 'pf0rep0', 'ofport', 'error']);
      expect(row).toMatch(/^[1-9]\d*\n\[\]\n$/);
    }
    await down({ stateDir: one.stateDir });
    expect(await remains(one)).toEqual([]);
    expect((await status(other.stateDir)).state).toBe('up');
  });

  it('is mended by up, whichever of its processes was killed', async () => {
    const dpu = await dpus.up();
    const { stateDir } = dpu;
    const names = (await status(stateDir)).processes.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(4);
    for (const name of names) {
      const before = new Map((await status(stateDir)).processes.map((each) => [each.name, each.pid]));
      await kill(stateDir, name);
      expect((await status(stateDir)).state, name).toBe('partly');
      await up({ stateDir });
      const after = await status(stateDir);
      expect(after.state, name).toBe('up');
      expect(after.processes.find((each) => each.name === name)?.pid, name).not.toBe(before.get(name));
    }
    expect(await runInSoc(dpu, ['ovs-vsctl', '--timeout=10', 'get', 'Interface', 'tenant0', 'error'])).toBe('[]\n');
  });

  it.each([0, 1, 4, 8])(
    'is finished by up, and ended by down, when up was killed after %i processes',
    async (count) => {
      const stateDir = await dpus.stateDir();
      for (const finish of [up, down]) {
        const child = spawn(process.execPath, [program, 'up', '--memory', '128', '--state', stateDir], {
          stdio: 'ignore',
        });
        await waitFor(async () => (await markedProcesses(stateDir)).length >= count, { what: 'processes' });
        child.kill('SIGKILL');
        await once(child, 'exit');
        await finish({ stateDir });
        expect((await status(stateDir)).state).toBe(finish === up ? 'up' : 'down');
        if (finish === up) expect(await unrecorded(stateDir)).toEqual([]);
        await down({ stateDir });
        expect(await remains({ name: nameOf(stateDir), stateDir })).toEqual([]);
      }
    },
  );

  it('is mended when its namespaces were taken away', async () => {
    const { stateDir, name, network } = await dpus.up();
    await runTool(['ip', 'netns', 'delete', `${name}-t`]);
    await runTool(['ip', 'netns', 'delete', name]);
    expect((await status(stateDir)).parts.network).toBe(false);
    const mended = await up({ stateDir });
    expect((await status(stateDir)).state).toBe('up');
    const inside = (pid: number): string => readlinkSync(`/proc/${pid}/ns/net`);
    expect(inside(mended.network.pids.vswitchd)).toBe(inside(mended.host.pid));
    expect(mended.network.pids.vswitchd).not.toBe(network.pids.vswitchd);
    expect(await runTool(['ip', 'netns', 'pids', name])).toContain(String(mended.host.pid));
  });

  it('is mended when only the tenant was taken away', async () => {
    const { stateDir, name, host } = await dpus.up();
    await runTool(['ip', 'netns', 'delete', `${name}-t`]);
    const { network, host: same } = await up({ stateDir });
    expect(same).toEqual(host);
    expect(await runTool(['ip', 'netns', 'pids', `${name}-t`])).toContain(String(network.tenant?.pids.dnsmasq));
    expect(await runTool(['ip', '-n', `${name}-t`, 'addr', 'show', 'eth0'])).toContain('192.168.77.1/24');
  });

  it('restarts one part and leaves the others', async () => {
    const before = await dpus.up();
    const after = await restart(before.stateDir, 'network');
    expect(after.network.pids.vswitchd).not.toBe(before.network.pids.vswitchd);
    expect(after.host).toEqual(before.host);
    expect((await status(before.stateDir)).state).toBe('up');
  });

  it('ends what was started into it, and leaves strangers alone', async () => {
    const dpu = await dpus.up();
    const { stateDir, network } = dpu;
    const ours = await ensureInSoc(dpu, { name: 'sleeper', argv: ['sleep', '600'] });
    expect(await ensureInSoc(dpu, { name: 'sleeper', argv: ['sleep', '600'] })).toEqual(ours);
    await endInSoc(dpu, 'sleeper');
    expect(startTime(ours.pid)).toBeUndefined();
    const again = await ensureInSoc(dpu, { name: 'sleeper', argv: ['sleep', '600'] });
    const stranger = spawn('nsenter', [`--net=/run/netns/${network.netns}`, 'sleep', '600'], { stdio: 'ignore' });
    try {
      const pid = stranger.pid ?? 0;
      await waitFor(async () => (await readFile(`/proc/${pid}/cmdline`, 'utf8')).startsWith('sleep'), {
        what: 'sleep',
      });
      expect(await down({ stateDir })).toEqual([pid]);
      expect(startTime(again.pid)).toBeUndefined();
      expect(startTime(pid)).toBeDefined();
      expect(await remains(dpu)).toEqual([]);
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  it('is taken down though nobody wrote down what runs', async () => {
    const dpu = await dpus.up();
    await rename(join(dpu.stateDir, 'run'), join(dpu.stateDir, 'lost'));
    await rename(join(dpu.stateDir, 'virtual-dpu.json'), join(dpu.stateDir, 'lost.json'));
    await down({ stateDir: dpu.stateDir });
    expect(await markedProcesses(dpu.stateDir)).toEqual([]);
    expect(readdirSync('/run/netns').filter((netns) => netns.startsWith(dpu.name))).toEqual([]);
  });

  it('is taken down though its state directory is gone', async () => {
    const dpu = await dpus.up();
    await rm(dpu.stateDir, { recursive: true });
    expect(await down({ stateDir: dpu.stateDir })).toEqual([]);
    expect(await markedProcesses(dpu.stateDir)).toEqual([]);
    expect(readdirSync('/run/netns').filter((netns) => netns.startsWith(dpu.name))).toEqual([]);
  });

  it('has root ports with the addresses that it tells, and stays when it is powered off', async () => {
    const { host } = await dpus.up();
    const qmp = await connectQmp({ path: host.qmp.debug });
    try {
      expect(host.rootPorts).toHaveLength(16);
      for (const index of [0, 3, 15]) {
        const port = host.rootPorts[index];
        const device = { driver: 'virtio-rng-pci', id: `dev${index}`, bus: port?.id ?? '', addr: '0x0' };
        await qmp.execute('device_add', device);
      }
      expect((await qmp.execute('query-status')).status).toBe('prelaunch');
      await qmp.execute('cont');
      const wanted = [0, 3, 15].map((index) => host.rootPorts[index]?.bdf);
      const found = async () => {
        const functions = pciFunctions(await qmp.execute('query-pci'));
        const ours = [0, 3, 15].map((index) => functions.find((each) => each.qdev_id === `dev${index}`));
        return ours.map(
          (each) => each && `0000:${each.bus.toString(16).padStart(2, '0')}:0${each.slot}.${each.function}`,
        );
      };
      const isDone = async () => JSON.stringify(await found()) === JSON.stringify(wanted);
      await waitFor(isDone, { what: 'the addresses that were told', deadlineMs: 60_000 });
      await qmp.execute('stop');
      await qmp.execute('system_reset');
      expect(startTime(host.pid)).toBeDefined();
    } finally {
      qmp.close();
    }
  });

  it('lets a group use what a daemon without rights needs, and nothing else', async () => {
    const { stateDir, network, storage, bmc, host } = await dpus.up({ group: 'nogroup' });
    const asNobody = (...argv: string[]) =>
      spawnSync('setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', '--', ...argv], {
        encoding: 'utf8',
      });
    const connect = (path: string) => asNobody('socat', '-u', '/dev/null', `UNIX-CONNECT:${path}`).status;
    expect(connect(network.ovsdb.slice('unix:'.length))).toBe(0);
    expect(connect(storage.spdk)).toBe(0);
    for (const file of [join(stateDir, 'virtual-dpu.json'), bmc.passwordFile, bmc.redfish.certificateFile]) {
      expect(asNobody('cat', file).stdout).toBe(await readFile(file, 'utf8'));
    }
    for (const path of [host.qmp.snic, host.qmp.bmc, join(network.runDir, 'br-int.mgmt')])
      expect(connect(path)).not.toBe(0);
    for (const file of [host.serialLog, join(network.runDir, 'conf.db')])
      expect(asNobody('cat', file).status).not.toBe(0);
    await expect(up({ stateDir, group: 'no-such-group' })).rejects.toMatchObject({ code: 'invalid', field: 'group' });
  });

  it('refuses a state directory whose sockets could not be bound', async () => {
    const stateDir = join(await dpus.stateDir(), 'd'.repeat(80));
    await expect(up({ stateDir })).rejects.toMatchObject({ code: 'invalid' });
    expect(existsSync(stateDir)).toBe(false);
    expect((await status(stateDir)).state).toBe('down');
    expect(await down({ stateDir })).toEqual([]);
  });
});
