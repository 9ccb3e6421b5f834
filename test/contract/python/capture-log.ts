/** The real log, written where a test can read it. */
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../../core/ports/log.ts';
import { createLog } from '../../../kit/log.ts';

/** A log of level debug, and the lines that it wrote so far; `onEnd` is told how to remove it. */
export function captureLog(onEnd: (end: () => void) => void): { readonly log: Log; lines(): readonly string[] } {
  const dir = mkdtempSync(join(tmpdir(), 'log-'));
  onEnd(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, 'log');
  const log = createLog('debug', 'test', openSync(file, 'a', 0o600));
  return { log, lines: () => readFileSync(file, 'utf8').split('\n').filter(Boolean) };
}
