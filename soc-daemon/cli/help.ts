import type { Command, Option } from './command.ts';
import { globalOptions } from './parse.ts';

/** Help for the commands that begin with the words: one in full, several as a list. */
export function helpText(words: readonly string[], command: Command | undefined, commands: readonly Command[]): string {
  const under = commands.filter((each) => words.every((word, index) => each.words[index] === word));
  if (command !== undefined && (command.args !== undefined || under.length <= 1)) return one(command);
  return [
    `Usage: dpuctl ${[...words, 'COMMAND'].join(' ')} [OPTIONS]`,
    '',
    ...aligned(under.map((each) => [signature(each), each.help])),
    '',
    ...optionLines('Options of every command:', globalOptions),
    '',
    'Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not reachable.',
  ].join('\n');
}

/** A completion script for bash: the words, then the options, of the same table. */
export function bashCompletion(commands: readonly Command[]): string {
  const words = new Map<string, Set<string>>();
  for (const command of commands) {
    for (const [index, word] of command.words.entries()) {
      const before = command.words.slice(0, index).join(' ');
      words.set(before, (words.get(before) ?? new Set()).add(word));
    }
    const names = [...(command.options ?? []), ...globalOptions].map((each) => `--${each.name}`);
    const key = command.words.join(' ');
    words.set(key, new Set([...(words.get(key) ?? []), ...names]));
  }
  const cases = [...words].map(([before, next]) => `    '${before}') words='${[...next].join(' ')}' ;;`);
  return [
    '_dpuctl() {',
    '  local word before= words=',
    `  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
    '    [[ $word == -* ]] && break',
    `    before="\${before:+$before }$word"`,
    '  done',
    '  while :; do',
    '    case "$before" in',
    ...cases,
    '    esac',
    '    [[ -n $words || $before != *" "* ]] && break',
    `    before="\${before% *}"`,
    '  done',
    `  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")`,
    '}',
    'complete -F _dpuctl dpuctl',
  ].join('\n');
}

function one(command: Command): string {
  const own = command.options ?? [];
  return [
    `Usage: dpuctl ${signature(command)} [OPTIONS]`,
    '',
    `${command.help}.`,
    '',
    ...(own.length === 0 ? [] : [...optionLines('Options:', own), '']),
    ...optionLines('Options of every command:', globalOptions),
  ].join('\n');
}

function signature(command: Command): string {
  return [...command.words, ...(command.args ?? []).map((name) => name.toUpperCase())].join(' ');
}

function optionLines(title: string, options: readonly Option[]): readonly string[] {
  return [title, ...aligned(options.map((each) => [`--${each.name}${each.value ? ` ${each.value}` : ''}`, each.help]))];
}

function aligned(rows: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
