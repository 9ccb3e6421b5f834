/** A command line of a fenced shell block: its line in the document, and its simple commands as words. */
export interface DocCommand {
  readonly line: number;
  readonly text: string;
  readonly commands: readonly (readonly string[])[];
}

/** A link of a document, with the line where it stands. */
export interface DocLink {
  readonly line: number;
  readonly target: string;
}

const SHELL_FENCES = ['sh', 'bash', 'shell', 'console'];

/** The command lines of all shell blocks. Of a `console` block only lines with a `$` prompt are commands, the rest is output. */
export function shellCommands(markdown: string): readonly DocCommand[] {
  const found: DocCommand[] = [];
  for (const block of fencedBlocks(markdown)) {
    if (!SHELL_FENCES.includes(block.language)) continue;
    const lines = block.text.replace(/\\\n/g, '\u0000').split('\n');
    let line = block.line + 1;
    for (const raw of lines) {
      const prompted = /^\s*\$ /.test(raw);
      const text = raw
        .replace(/^\s*\$ /, '')
        .replaceAll('\u0000', ' ')
        .trim();
      const wanted = block.language !== 'console' || prompted;
      const commands = wanted ? splitCommands(text) : [];
      if (commands.length > 0) found.push({ line, text, commands });
      line += 1 + (raw.split('\u0000').length - 1);
    }
  }
  return found;
}

/** Splits a shell line at `&&`, `||`, `|`, `;` and `&` into commands of words; quotes hold words together, `#` ends the line. */
export function splitCommands(text: string): readonly (readonly string[])[] {
  const pattern =
    /\s+|(?<comment>#.*$)|(?<operator>&&|\|\||[|;&])|(?<word>(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\|;&])+)/gy;
  const commands: string[][] = [[]];
  for (const { groups } of text.matchAll(pattern)) {
    if (groups?.operator) commands.push([]);
    if (groups?.word) commands.at(-1)?.push(groups.word.replace(/"((?:\\.|[^"\\])*)"|'([^']*)'/g, '$1$2'));
  }
  return commands.filter((words) => words.length > 0);
}

/** The links and images of a document outside code. */
export function links(markdown: string): readonly DocLink[] {
  return withoutCode(markdown)
    .split('\n')
    .flatMap((text, index) =>
      [...text.matchAll(/\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)|^\s*\[[^\]]+\]:\s*(\S+)/g)].map((match) => ({
        line: index + 1,
        target: match[1] ?? match[2] ?? '',
      })),
    );
}

/** The anchors of a document's headings, as GitHub makes them. */
export function anchors(markdown: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const found = new Set<string>();
  for (const [, heading = ''] of withoutFences(markdown).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = plain.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    found.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return found;
}

interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

const FENCE = /^([ \t]*)(`{3,}|~{3,})[ \t]*(\S*)[^\n]*\n([\s\S]*?)^[ \t]*\2[ \t]*$/gm;

function fencedBlocks(markdown: string): readonly Block[] {
  return [...markdown.matchAll(FENCE)].map((match) => ({
    language: (match[3] ?? '').toLowerCase(),
    text: match[4] ?? '',
    line: markdown.slice(0, match.index).split('\n').length,
  }));
}

function withoutFences(markdown: string): string {
  return markdown.replace(FENCE, (block) => block.replace(/[^\n]/g, ''));
}

function withoutCode(markdown: string): string {
  return withoutFences(markdown).replace(/`[^`\n]+`/g, (code) => ' '.repeat(code.length));
}
