import { expect, it } from 'vitest';
import { hostPaths, machineArgv, rootPorts } from '../../virtual-dpu/host/machine.ts';
import { checkUnchanged, type HostSettings } from '../../virtual-dpu/host/settings.ts';

const settings: HostSettings = {
  arch: 'x86_64',
  accel: 'tcg',
  cpus: 2,
  memoryMib: 512,
  serialNumber: 'SN-1',
  uuid: '11111111-2222-4333-8444-555555555555',
};

/** The values that follow an option. */
function values(argv: readonly string[], option: string): readonly string[] {
  return argv.flatMap((word, index) => (word === option ? [argv[index + 1] ?? ''] : []));
}

it('has sixteen root ports, their slots in the order of their buses and none of them the ISA bridge', () => {
  const ports = values(machineArgv('n', settings, hostPaths('/s')), '-device');
  const slots = ports.map((port) => Number.parseInt(/addr=(0x[0-9a-f]+)/.exec(port)?.[1] ?? '', 16));
  expect(ports.map((port) => /id=(rp\d+)/.exec(port)?.[1])).toEqual(rootPorts().map(({ id }) => id));
  expect(slots).toEqual([...slots].sort((a, b) => a - b));
  expect(new Set(slots).size).toBe(16);
  expect(Math.max(...slots)).toBeLessThan(0x1f);
  expect(rootPorts()[0]).toEqual({ index: 0, id: 'rp0', bdf: '0000:01:00.0' });
  expect(rootPorts()[15]?.bdf).toBe('0000:10:00.0');
});

it('waits powered off, survives being powered off, and is who it was told to be', () => {
  const argv = machineArgv('n', settings, hostPaths('/s'));
  expect(argv).toEqual(expect.arrayContaining(['-S', '-no-shutdown', '-nodefaults']));
  expect(values(argv, '-smp')).toEqual(['2']);
  expect(values(argv, '-m')).toEqual(['512']);
  expect(values(argv, '-uuid')).toEqual([settings.uuid]);
  expect(values(argv, '-smbios')[0]).toContain('serial=SN-1');
  expect(values(argv, '-object')[0]).toBe('memory-backend-memfd,id=mem0,size=512M,share=on');
  expect(values(argv, '-mon')).toHaveLength(4);
});

it('writes a comma in a path as QEMU reads it', () => {
  const chardevs = values(machineArgv('n', settings, hostPaths('/a,b')), '-chardev');
  expect(chardevs.every((each) => each.includes('path=/a,,b/'))).toBe(true);
});

it('is another machine for aarch64, with a GIC that has room for its CPUs', () => {
  const machine = (cpus: number) =>
    values(machineArgv('n', { ...settings, arch: 'aarch64', cpus }, hostPaths('/s')), '-M')[0];
  expect(machine(2)).toBe('virt,memory-backend=mem0');
  expect(machine(9)).toBe('virt,memory-backend=mem0,gic-version=3');
});

it('finds what a running server differs in from what is wanted', () => {
  expect(() => checkUnchanged(settings, { memoryMib: 512, accel: 'auto' })).not.toThrow();
  expect(() => checkUnchanged(settings, { cpus: 4 })).toThrow(/cpus 2 and not 4/);
});
