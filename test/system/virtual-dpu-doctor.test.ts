/** The doctor tries what a virtual DPU needs, and says what stands in its way. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { examine, type Finding } from '../../virtual-dpu/doctor.ts';
import { tryAccel } from '../../virtual-dpu/host/kvm-trial.ts';
import { canHaveVirtualDpus } from '../support/virtual-dpu.ts';

const program = join(import.meta.dirname, '../../virtual-dpu/bin.mjs');
const stateDir = join(tmpdir(), 'vdpu-nowhere');
const noCapabilities = ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'];

function levels(findings: readonly Finding[]): Readonly<Record<string, string>> {
  return Object.fromEntries(findings.map(({ id, level }) => [id, level]));
}

describe.runIf(canHaveVirtualDpus('the doctor of virtual DPUs'))('the doctor', { timeout: 120_000 }, () => {
  it('finds nothing in the way where virtual DPUs come up, and leaves nothing behind', async () => {
    const before = readdirSync('/run/netns').filter((name) => name.startsWith('vdpu-trial'));
    const found = await examine(stateDir, { kvmDeadlineMs: 100 });
    const fine = { packages: 'ok', rights: 'ok', netns: 'ok', tun: 'ok', checksums: 'ok', ports: 'ok', paths: 'ok' };
    expect(levels(found)).toMatchObject(fine);
    expect(readdirSync('/run/netns').filter((name) => name.startsWith('vdpu-trial'))).toEqual(before);
  });

  it('says what fails without rights, and up says it too', () => {
    const run = (...args: string[]) =>
      spawnSync('setpriv', [...noCapabilities, process.execPath, program, ...args, '--state', stateDir], {
        encoding: 'utf8',
        timeout: 60_000,
      });
    const doctor = run('doctor', '-o', 'json');
    expect(doctor.status).toBe(1);
    expect(levels(JSON.parse(doctor.stdout) as Finding[])).toMatchObject({ rights: 'fail', netns: 'fail' });
    expect(run('up')).toMatchObject({ status: 1, stderr: expect.stringContaining('needs root (CAP_NET_ADMIN') });
  });

  it('says that a path is too long', async () => {
    expect(levels(await examine(join(stateDir, 'd'.repeat(80)), { kvmDeadlineMs: 100 }))).toMatchObject({
      paths: 'fail',
    });
  });

  it('believes in an accelerator that runs a guest, and in none that does not get through', async () => {
    expect(await tryAccel('tcg', { deadlineMs: 60_000 })).toEqual({ usable: true });
    expect(await tryAccel('tcg', { deadlineMs: 1 })).toMatchObject({ usable: false });
  });
});
