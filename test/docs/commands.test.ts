import { describe, expect, it } from 'vitest';
import { projectFiles } from '../architecture/project-files.ts';
import { type CommandRule, checkCommand } from './command-table.ts';
import { shellCommands, splitCommands } from './markdown.ts';

const documents = projectFiles((path) =>
  /^(README|CONTRIBUTING)\.md$|^docs\/.*\.md$|^packages\/[^/]+\/README\.md$/.test(path),
);

describe('commands in the documents', () => {
  it.each(documents.map((file) => [file.path, file.text] as const))('%s', async (path, text) => {
    const problems: string[] = [];
    for (const { line, text: command, commands } of shellCommands(text)) {
      for (const argv of commands) {
        const problem = await checkCommand(argv);
        if (problem !== undefined) problems.push(`${path}:${line}: ${command}: ${problem}`);
      }
    }
    expect(problems).toEqual([]);
  });
});

describe('the check', () => {
  it('reads commands out of shell blocks, and out of nothing else', () => {
    const text = [
      'Text `npm run nothing`.',
      '```sh',
      '# a comment',
      '$ npm test -- test/unit   # why',
      "A=1 dpuctl instance list -o json | jq '.[] | .name' && cd 'a b'",
      'npm run demo -- \\',
      '  --keep',
      'npm test',
      '```',
      '```console',
      '$ npm ci',
      'added 3 packages; all fine',
      '```',
      '```json',
      '{"npm": "run"}',
      '```',
    ].join('\n');
    expect(shellCommands(text).map(({ line, commands }) => [line, commands])).toEqual([
      [4, [['npm', 'test', '--', 'test/unit']]],
      [
        5,
        [
          ['A=1', 'dpuctl', 'instance', 'list', '-o', 'json'],
          ['jq', '.[] | .name'],
          ['cd', 'a b'],
        ],
      ],
      [6, [['npm', 'run', 'demo', '--', '--keep']]],
      [8, [['npm', 'test']]],
      [11, [['npm', 'ci']]],
    ]);
    expect(splitCommands('a; b & c || d')).toEqual([['a'], ['b'], ['c'], ['d']]);
  });

  it.each([
    'make install',
    'npm install',
    'npm run nothing',
    'npm run lint -- --unknown',
    'npm test -- test/nowhere',
    'node tools/nothing.mjs',
    'node tools/setup.mjs --unknown',
  ])('finds: %s', async (command) => {
    expect(await checkCommand(command.split(' '))).toBeTypeOf('string');
  });

  it.each([
    'npm test',
    'CI=true npm test -- test/architecture',
    'npm run lint',
    'node tools/setup.mjs --apt',
    'cd anywhere',
  ])('lets pass: %s', async (command) => {
    expect(await checkCommand(command.split(' '))).toBeUndefined();
  });

  it('asks the rule with the most words', async () => {
    const rule = (words: string, answer: string): CommandRule => ({
      words: words.split(' '),
      how: 'a test',
      check: (args) => Promise.resolve(`${answer} ${args.join(' ')}`),
    });
    expect(await checkCommand(['a', 'b', 'c'], [rule('a', 'short'), rule('a b', 'long'), rule('a x', 'other')])).toBe(
      'long c',
    );
  });
});
