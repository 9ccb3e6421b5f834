import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { JournalRun } from './journal-child.ts';
import type { Row } from './report.ts';
import { onOneCore, type Scene, works } from './scene.ts';

/** How long the slowed disk takes for each flush. */
const SLOW_MS = 20;

/**
 * The cost of one journaled step, on the disk as it is and on a slowed one: `strace` holds up every fsync and fdatasync in the
 * kernel's door, in whichever thread makes it, and touches no other call. Beside the daemon's writer, which waits for the
 * disk outside of the event loop, one that waits in it does the same.
 */
export function measureJournalStep(scene: Scene, steps: number): readonly Row[] {
  const run = (mode: 'flushed' | 'inline', slow: boolean): JournalRun => {
    const directory = mkdtempSync(join(scene.dir, 'journal-'));
    const count = String(slow ? Math.ceil(steps / 20) : steps);
    const child = join(import.meta.dirname, 'journal-child.ts');
    const [pinned, args] = onOneCore(process.execPath, [...scene.flags, child, directory, mode, count]);
    const [command = '', ...rest] = slow ? ['strace', ...slowed, pinned, ...args] : [pinned, ...args];
    return JSON.parse(execFileSync(command, rest, { encoding: 'utf8' })) as JournalRun;
  };
  const [flushed, inline] = [run('flushed', false), run('inline', false)];
  const rows: Row[] = [
    {
      what: 'CPU per journaled step (two commits)',
      measured: `${flushed.cpuMsPerStep.toFixed(2)} ms`,
      target: 'under 1 ms',
      peer: `waited for in the event loop: ${inline.cpuMsPerStep.toFixed(2)} ms`,
      numbers: { ...flushed, inlineCpuMsPerStep: inline.cpuMsPerStep },
    },
    wallRow('Journaled step, disk as it is', flushed, inline),
  ];
  if (!works('strace', [...slowed, 'true'])) {
    return [
      ...rows,
      {
        what: 'The same on a slowed disk',
        measured: 'not measured: it needs strace',
        target: '',
        peer: '',
        numbers: {},
      },
    ];
  }
  return [...rows, wallRow(`The same, every flush ${SLOW_MS} ms slower`, run('flushed', true), run('inline', true))];
}

const slowed = [
  '-f',
  '-qq',
  '--seccomp-bpf',
  '-o',
  '/dev/null',
  '-e',
  'trace=fsync,fdatasync',
  '-e',
  `inject=fsync,fdatasync:delay_enter=${SLOW_MS * 1000}`,
];

function wallRow(what: string, flushed: JournalRun, inline: JournalRun): Row {
  const text = ({ stepP50Ms, stepP99Ms, medianGapMs, longestGapMs }: JournalRun): string =>
    `median ${stepP50Ms.toFixed(1)} ms, p99 ${stepP99Ms.toFixed(1)} ms; 10 ms timer every ${medianGapMs.toFixed(0)} ms, longest gap ${longestGapMs.toFixed(0)} ms`;
  return {
    what,
    measured: text(flushed),
    target: '',
    peer: `waited for in the event loop: ${text(inline)}`,
    numbers: { ...flushed, inlineP99Ms: inline.stepP99Ms, inlineLongestGapMs: inline.longestGapMs },
  };
}
