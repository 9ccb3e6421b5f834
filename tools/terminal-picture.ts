/** What a terminal shows after a program's output, and a drawing of it as SVG. Knows what the demo's screen uses: colours, lines up, erase below and erase the line. */

/** How a stretch of text looks. */
export type Look = 'plain' | 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

/** A stretch of text of one look. */
export interface Span {
  readonly look: Look;
  readonly text: string;
}

/** SGR parameters (ECMA-48 8.3.117) that the demo's screen writes. */
const LOOKS: Readonly<Record<string, Look>> = {
  '': 'plain',
  0: 'plain',
  1: 'bold',
  2: 'dim',
  31: 'red',
  32: 'green',
  33: 'yellow',
  36: 'cyan',
};

const STYLES: Readonly<Record<Look, string>> = {
  plain: 'fill="#d7dae0"',
  bold: 'fill="#ffffff" font-weight="bold"',
  dim: 'fill="#8b93a1"',
  green: 'fill="#8fd18b"',
  yellow: 'fill="#e5c07b"',
  red: 'fill="#e8817b"',
  cyan: 'fill="#7ec7d9"',
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a terminal is told by
const PIECES = /\u001b\[([0-9;?]*)([A-Za-z])|[\r\n]|[^\u001b\r\n]+|\u001b/g;

/** The lines that stand when all of it was written; wide ones are not wrapped. */
export function linesOf(output: string): readonly (readonly Span[])[] {
  const lines: Span[][] = [[]];
  let row = 0;
  let look: Look = 'plain';
  for (const [piece, numbers = '', what] of output.matchAll(PIECES)) {
    if (what === 'm') look = LOOKS[numbers] ?? look;
    else if (what === 'A') row = Math.max(0, row - Number(numbers || 1));
    else if (what === 'K') lines[row] = [];
    else if (what === 'J') lines.splice(row, lines.length, []);
    else if (piece === '\n') {
      row += 1;
      lines[row] ??= [];
    } else if (what === undefined && piece !== '\r' && piece !== '\u001b') lines[row]?.push({ look, text: piece });
  }
  return lines;
}

/** Lines as they are up to a width in characters; what is beyond ends in a dot of three. */
export function narrowed(lines: readonly (readonly Span[])[], columns: number): readonly (readonly Span[])[] {
  return lines.map((line) => {
    let room = columns;
    return line.flatMap(({ look, text }) => {
      if (room <= 0) return [];
      const kept = text.length <= room ? text : `${text.slice(0, room - 1)}…`;
      room -= text.length;
      return [{ look, text: kept }];
    });
  });
}

/** The sections whose bold heading begins with one of these; what is left out between two of them is told by three dots. */
export function chosen(lines: readonly (readonly Span[])[], headings: readonly string[]): readonly (readonly Span[])[] {
  const kept: (readonly Span[])[] = [];
  let keeping = false;
  for (const line of lines) {
    const [first] = line;
    if (first?.look === 'bold') {
      const wanted = headings.some((each) => first.text.startsWith(each));
      if (!wanted && keeping) kept.push([{ look: 'dim', text: '  …' }], []);
      keeping = wanted;
    }
    if (keeping) kept.push(line);
  }
  return kept;
}

const CELL = { width: 7.8, height: 17 } as const;
const MARGIN = 16;
/** Spaces that no renderer draws together. */
const NBSP = '\u00a0';

/** Draws lines as a terminal would show them, in a monospace font of whoever looks. */
export function svgOf(lines: readonly (readonly Span[])[], title: string): string {
  const columns = Math.max(...lines.map((line) => line.reduce((sum, { text }) => sum + text.length, 0)));
  const width = Math.ceil(columns * CELL.width) + 2 * MARGIN;
  const height = lines.length * CELL.height + 2 * MARGIN;
  const rows = lines.flatMap((line, at) => {
    if (line.length === 0) return [];
    const spans = line
      .map(({ look, text }) => `<tspan ${STYLES[look]}>${escaped(text).replaceAll(' ', NBSP)}</tspan>`)
      .join('');
    return [`<text x="${MARGIN}" y="${MARGIN + (at + 0.8) * CELL.height}">${spans}</text>`];
  });
  const font = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13"';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" rx="8" fill="#1e222a"/>`,
    `<g ${font}>`,
    ...rows,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
