import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectFiles, ROOT } from '../architecture/project-files.ts';
import { anchors, links } from './markdown.ts';

/** The links of a document that lead nowhere in the repository. Links to other hosts are not followed. */
function broken(path: string, text: string): readonly string[] {
  return links(text).flatMap(({ line, target }) => {
    if (/^[a-z][a-z+.-]*:/i.test(target)) return [];
    const [file = '', anchor] = target.split('#');
    const to = file === '' ? join(ROOT, path) : join(ROOT, dirname(path), decodeURIComponent(file));
    const where = `${path}:${line}: ${target}`;
    if (relative(ROOT, to).startsWith('..')) return [`${where} leaves the repository`];
    if (!existsSync(to)) return [`${where} does not exist`];
    if (anchor === undefined || !to.endsWith('.md') || statSync(to).isDirectory()) return [];
    return anchors(file === '' ? text : readFileSync(to, 'utf8')).has(anchor) ? [] : [`${where} has no such heading`];
  });
}

describe('links in the documents', () => {
  it.each(projectFiles((path) => path.endsWith('.md')).map((file) => [file.path, file.text] as const))(
    '%s',
    (path, text) => {
      expect(broken(path, text)).toEqual([]);
    },
  );

  it.each([
    '[a](nothing.md)',
    '![a](docs/nothing.png)',
    '[a](../elsewhere.md)',
    '[a](LICENSE.md "title")',
    '[a](#nothing)',
    '[a]: nothing.md',
  ])('the check finds %s', (text) => {
    expect(broken('README.md', `# Title\n\n${text}\n`)).toHaveLength(1);
  });

  it.each([
    '[a](LICENSE)',
    '[a](#a-title-of-3)',
    '[a](https://example.org/x.md)',
    '`[a](nothing.md)`',
    '```\n[a](nothing.md)\n```',
  ])('the check lets pass %j', (text) => {
    expect(broken('README.md', `# A title, of 3\n\n${text}\n`)).toEqual([]);
  });
});
