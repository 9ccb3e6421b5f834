/** Commands on the node itself: its health, its host's power. */
import type { BiosReport, HealthReport, HostPower, Membership } from '../../schemas/generated/rest.ts';
import type { Command, Context } from './command.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { identityCommands } from './identity.ts';

async function doctor(context: Context): Promise<ExitCode> {
  const report = (await context.client.ask('GET', '/v1/health')) as HealthReport;
  const { ready, checks } = report;
  const rows = checks.map((each) => ({ ...each, what: each.found, 'what to do': each.todo }));
  context.showRows(report, rows, ['id', 'state', 'reason', 'what', 'what to do']);
  const cutOff = checks.some(({ id, state }) => id === 'broker' && state !== 'ok');
  if (context.format === 'table') context.print(verdict(report, cutOff));
  return ready && !cutOff ? exitCode.done : exitCode.failed;
}

/** What it comes to, in a line. */
function verdict({ ready, checks }: HealthReport, cutOff: boolean): string {
  const warnings = checks.filter(({ state }) => state === 'warn').length;
  const but = warnings === 0 ? '' : `, with ${warnings} warning${warnings === 1 ? '' : 's'}`;
  if (!ready) return `The node is not ready${but}.`;
  if (cutOff) return `The node is ready${but}, but its platform can't reach it now.`;
  return `The node is ready${but}: instances may be scheduled here.`;
}

async function power(context: Context): Promise<ExitCode> {
  const found = (await context.client.ask('GET', '/v1/power')) as HostPower;
  const { owner } = found;
  context.showThing({ ...found }, { ...found, owner: owner && `${owner.reason}, since ${owner.since}` });
  return exitCode.done;
}

async function bios(context: Context, method: 'GET' | 'POST', path: string): Promise<ExitCode> {
  const report = (await context.client.ask(method, path)) as BiosReport;
  if (context.format !== 'table') {
    context.showThing({ ...report });
    return exitCode.done;
  }
  const { differing, unsafe, ...rest } = report;
  context.showThing({ ...rest, differing: differing.length, unsafe: unsafe.length });
  if (differing.length > 0)
    context.showRows(
      differing,
      differing.map((each) => ({ ...each })),
      ['name', 'baseline', 'now', 'next'],
    );
  if (unsafe.length > 0)
    context.showRows(
      unsafe,
      unsafe.map((each) => ({ ...each })),
      ['name', 'next', 'allowed', 'why'],
    );
  return exitCode.done;
}

async function member(context: Context, wanted: boolean): Promise<ExitCode> {
  const reason = context.option('reason');
  const body = {
    member: wanted,
    ...(reason === undefined ? {} : { reason }),
    ...(context.has('force') ? { force: true } : {}),
  };
  context.showThing({ ...((await context.client.ask('PUT', '/v1/membership', body)) as Membership) });
  return exitCode.done;
}

/** Commands on the node itself. */
export const nodeCommands: readonly Command[] = [
  {
    words: ['doctor'],
    help: 'says what the node looked at, what it found, and what to do; fails while the node is not ready',
    run: doctor,
  },
  {
    words: ['bios', 'show'],
    help: "shows the host's BIOS settings that differ from the baseline, or keep the host from starting",
    run: (context) => bios(context, 'GET', '/v1/bios'),
  },
  {
    words: ['bios', 'capture'],
    help: 'makes the BIOS settings of now the baseline; not while an instance has the host',
    run: (context) => bios(context, 'POST', '/v1/bios/capture'),
  },
  {
    words: ['bios', 'restore'],
    help: "sets BIOS settings back to the baseline, from the host's next start on",
    run: (context) => bios(context, 'POST', '/v1/bios/restore'),
  },
  ...identityCommands,
  {
    words: ['node', 'leave'],
    options: [
      { name: 'reason', value: 'TEXT', help: 'why' },
      { name: 'force', help: 'leaves although there are instances; they stay as they are' },
    ],
    help: 'tells the platform that the node leaves, and stays out, over restarts too',
    run: (context) => member(context, false),
  },
  { words: ['node', 'join'], help: 'takes the node back', run: (context) => member(context, true) },
  { words: ['power'], help: "shows the host's power, whose it is, and who works on it now", run: power },
];
