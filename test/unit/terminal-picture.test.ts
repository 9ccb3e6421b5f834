import { describe, expect, it } from 'vitest';
import { chosen, linesOf, narrowed, svgOf } from '../../tools/terminal-picture.ts';

const textOf = (output: string): readonly string[] =>
  linesOf(output).map((line) => line.map(({ text }) => text).join(''));

describe('the picture of a terminal', () => {
  it('shows what stands at the end, not what was drawn over', () => {
    expect(textOf('one\r\n  half\r\n  done\r\n\u001b[2A\u001b[Jtwo\r\n')).toEqual(['one', 'two', '']);
  });

  it('knows the looks of text', () => {
    expect(linesOf('\u001b[1mhead\u001b[0m and \u001b[32mgood\u001b[0m')).toEqual([
      [
        { look: 'bold', text: 'head' },
        { look: 'plain', text: ' and ' },
        { look: 'green', text: 'good' },
      ],
    ]);
  });

  it('keeps the chosen sections, and tells that others were left out', () => {
    const lines = linesOf(
      ['\u001b[1mA\u001b[0m', ' a', '\u001b[1mB\u001b[0m', ' b', '\u001b[1mC\u001b[0m', ' c'].join('\n'),
    );
    expect(chosen(lines, ['A', 'C']).map((line) => line.map(({ text }) => text).join(''))).toEqual([
      'A',
      ' a',
      '  …',
      '',
      'C',
      ' c',
    ]);
  });

  it('cuts what is too wide', () => {
    expect(
      narrowed(
        [
          [
            { look: 'plain', text: 'abc' },
            { look: 'dim', text: 'defgh' },
          ],
        ],
        5,
      ),
    ).toEqual([
      [
        { look: 'plain', text: 'abc' },
        { look: 'dim', text: 'd…' },
      ],
    ]);
  });

  it('is SVG that holds the text, escaped', () => {
    const picture = svgOf(linesOf('a <b> & c'), 'x < y');
    expect(picture.replaceAll('\u00a0', ' ')).toContain('a &lt;b&gt; &amp; c');
    expect(picture).toContain('<title>x &lt; y</title>');
  });
});
