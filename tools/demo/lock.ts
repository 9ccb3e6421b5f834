import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DemoError } from './demo-error.ts';
import type { Layout } from './layout.ts';
import { isAlive, startTime } from './processes.ts';

/** Claims a state directory for this process; answers how to give it back. @throws DemoError while another demo has it */
export function claim(layout: Layout): () => void {
  mkdirSync(layout.dir, { recursive: true, mode: 0o700 });
  const mine = `${layout.lockFile}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, started: startTime(process.pid) }));
  try {
    for (let tries = 0; !tryLink(mine, layout.lockFile); tries++) {
      const holder = read(layout.lockFile);
      if (tries === 2 || isAlive(holder)) {
        throw new DemoError(
          `a demo is at work in ${layout.dir}${holder ? ` (pid ${holder.pid})` : ''}: wait for it, or take another directory with --state DIR`,
        );
      }
      rmSync(layout.lockFile, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
  return () => rmSync(layout.lockFile, { force: true });
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to); // unlike open and write, the name appears with its content
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function read(path: string): { readonly pid: number; readonly started: string } | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { pid: number; started: string };
  } catch {
    return undefined; // given back this moment
  }
}
