/**
 * Every plan of a node of virtual machines, killed around every write of the store and every effect on the world; then a life with the store kept,
 * and one with it lost. `CRASH_ALL=1` runs every moment, else a slice that `CRASH_SEED` chooses.
 */
import { afterAll, expect, it } from 'vitest';
import { seededRandom } from '../support/seeded-random.ts';
import { type Moment, type Sent, sweepOnce, volumes } from '../support/vm-sweep.ts';

const all = process.env.CRASH_ALL === '1';
const chance = seededRandom(`vm crash ${process.env.CRASH_SEED ?? '1'}`);
const share = 0.12;
const ran = { kills: 0, moments: 0 };
afterAll(() => void process.stdout.write(`vm crash: ${ran.kills} kills of ${ran.moments} moments\n`));

const build: Sent = [
  'build_and_run_instance',
  { name: 'vm', flavor: '4c8g', image: 'demo', config_drive: true, networks: [{ subnet: 'net1' }] },
];
const lent: Sent = [
  'build_and_run_instance',
  {
    name: 'vm',
    flavor: '4c8g',
    volumes: [{ volume_id: volumes.boot, bootable: true }],
    networks: [{ subnet: 'net1' }],
  },
];
const stop: Sent = ['stop_instance', { timeout: 5 }];
const attach: Sent = ['attach_volume', { volume: { volume_id: volumes.data } }];

const scenarios: Readonly<Record<string, readonly [before: readonly Sent[], request: Sent]>> = {
  build: [[], build],
  destroy: [[build], ['destroy_instance']],
  start: [[build, stop], ['start_instance']],
  stop: [[build], stop],
  'reboot softly': [[build], ['reboot_instance', { type: 'soft' }]],
  'reboot by force': [[build], ['reboot_instance', { type: 'hard' }]],
  pause: [[build], ['pause_vm']],
  unpause: [[build, ['pause_vm']], ['unpause_vm']],
  suspend: [[build], ['suspend_instance']],
  resume: [[build, ['suspend_instance']], ['resume_instance']],
  resize: [[build], ['resize_vm', { new_flavor: '8c16g' }]],
  'resize what is off': [
    [build, stop],
    ['resize_vm', { new_flavor: '8c16g' }],
  ],
  rebuild: [[build], ['rebuild_instance']],
  rescue: [[build], ['rescue_instance']],
  unrescue: [[build, ['rescue_instance']], ['unrescue_instance']],
  'reset the password': [[build], ['reset_instance_admin_password', { new_password: 'other' }]],
  'attach a volume': [[build], attach],
  'detach a volume': [
    [build, attach],
    ['detach_volume', { volume_id: volumes.data }],
  ],
  'attach a NIC': [[build], ['attach_interface', { network: { subnet: 'net1' } }]],
  'prepare a move': [[lent], ['prepare_migration', { target: 'other' }]],
  'finish a move': [[lent, ['prepare_migration', { target: 'other' }]], ['finish_migration']],
  'abort a move': [[lent, ['prepare_migration', { target: 'other' }]], ['abort_migration']],
};

const sides = ['before', 'behind'] as const;

it.each(Object.entries(scenarios))(
  '%s: killed at any moment',
  { timeout: 1_200_000 },
  async (_name, [before, request]) => {
    const wrong: string[] = [];
    for (const what of ['write', 'effect'] as const) {
      for (const side of sides) {
        for (let count = 1; ; count += 1) {
          const moment: Moment = { what, side, count };
          // the last one, which nobody dies at, ends the count and shows that the plan itself is right
          if (!all && count % 6 !== 1 && !chance.chance(share)) {
            ran.moments += 1;
            continue;
          }
          const fates = all || chance.chance(0.5) ? (['kept', 'lost'] as const) : (['kept'] as const);
          let died = false;
          for (const fate of fates) {
            const result = await sweepOnce(before, request, moment, fate);
            died = result.died;
            if (died) ran.kills += 1;
            wrong.push(...result.wrong.map((each) => `${side} ${what} ${count}, store ${fate}: ${each}`));
            if (!died) break;
          }
          if (!died) break;
          ran.moments += 1;
        }
      }
    }
    expect(wrong.slice(0, 12)).toEqual([]);
  },
);
