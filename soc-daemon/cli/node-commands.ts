/** Commands on the node itself: its health, its host's power. */
import type { HealthReport, HostPower } from '../../schemas/generated/rest.ts';
import type { Command, Context } from './command.ts';
import { type ExitCode, exitCode } from './exit-code.ts';

async function doctor(context: Context): Promise<ExitCode> {
  const report = (await context.client.ask('GET', '/v1/health')) as HealthReport;
  const { ready, checks } = report;
  const rows = checks.map((each) => ({ ...each, what: each.found, 'what to do': each.todo }));
  context.showRows(report, rows, ['id', 'state', 'reason', 'what', 'what to do']);
  if (context.format === 'table') {
    const warnings = checks.filter(({ state }) => state === 'warn').length;
    const but = warnings === 0 ? '' : `, with ${warnings} warning${warnings === 1 ? '' : 's'}`;
    context.print(ready ? `The node is ready${but}: instances may be scheduled here.` : `The node is not ready${but}.`);
  }
  return ready ? exitCode.done : exitCode.failed;
}

async function power(context: Context): Promise<ExitCode> {
  const found = (await context.client.ask('GET', '/v1/power')) as HostPower;
  const { owner } = found;
  context.showThing({ ...found }, { ...found, owner: owner && `${owner.reason}, since ${owner.since}` });
  return exitCode.done;
}

/** Commands on the node itself. */
export const nodeCommands: readonly Command[] = [
  {
    words: ['doctor'],
    help: 'says what the node looked at, what it found, and what to do; fails while the node is not ready',
    run: doctor,
  },
  { words: ['power'], help: "shows the host's power, whose it is, and who works on it now", run: power },
];
