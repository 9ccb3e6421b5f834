import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { transitions } from '../../core/instance-state.ts';
import { loadConfig } from '../../kit/config.ts';
import { GENERATED, renewed } from '../../tools/generate-diagrams.ts';
import { ROOT } from '../architecture/project-files.ts';

describe('generated parts of the documents', () => {
  it.each(Object.entries(GENERATED))('%s is what it is made from', (path, parts) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    expect(renewed(text, parts), 'run `node tools/generate-diagrams.ts`').toBe(text);
  });

  it('finds a part that was edited, and one that has no place', () => {
    const parts = { names: () => 'a, b' };
    const text = 'x\n\n<!-- generated: names -->\n\na, b\n\n<!-- end -->\n\ny\n';
    expect(renewed(text, parts)).toBe(text);
    expect(renewed(text.replace('a, b', 'a, c'), parts)).toBe(text);
    expect(() => renewed('x\n', parts)).toThrow('names');
  });

  it('draws every state and every operation', () => {
    const text = readFileSync(join(ROOT, 'docs/instance-states.md'), 'utf8');
    const diagram = text.slice(0, text.indexOf('| operation |'));
    const states = new Set(Object.values(transitions).flatMap((each) => [...each.from, each.during, each.succeeded]));
    for (const state of states) if (state !== 'same') expect(diagram).toContain(`${state} `);
    for (const kind of Object.keys(transitions)) expect(text).toContain(`| \`${kind}\` |`);
  });
});

it('the configuration that docs/operator.md shows is valid', () => {
  const text = readFileSync(join(ROOT, 'docs/operator.md'), 'utf8');
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
  const dir = mkdtempSync(join(tmpdir(), 'docs-config-'));
  try {
    const file = join(dir, 'soc-daemon.yaml');
    writeFileSync(file, example);
    expect(loadConfig(file).node.hostname).toBe('compute-1');
    writeFileSync(file, `${example}\nunknown: 1\n`);
    expect(() => loadConfig(file)).toThrow('unknown');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
