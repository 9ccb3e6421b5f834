/** The real log, written where a test can read it. */
import { mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../../../core/ports/log.ts';
import { createLog } from '../../../kit/log.ts';

/** A log of level debug, and the lines that it wrote so far. */
export function captureLog(): { readonly log: Log; lines(): readonly string[] } {
  const file = join(mkdtempSync(join(tmpdir(), 'log-')), 'log');
  const log = createLog('debug', 'test', openSync(file, 'a', 0o600));
  return { log, lines: () => readFileSync(file, 'utf8').split('\n').filter(Boolean) };
}
