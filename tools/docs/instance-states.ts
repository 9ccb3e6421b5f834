import { type OperationKind, observations, transitions } from '../../core/instance-state.ts';

const KINDS = Object.keys(transitions) as OperationKind[];

/** The state machine as a Mermaid diagram: an edge for each way from a state to another, with all that leads along it. */
export function stateDiagram(): string {
  const edges = new Map<string, Set<string>>();
  const add = (from: string, to: string, label: string): void => {
    if (from === to) return;
    const labels = edges.get(`${from} --> ${to}`) ?? new Set();
    edges.set(`${from} --> ${to}`, labels.add(label));
  };
  for (const kind of KINDS) {
    const { from, during, succeeded, failed, cancelled, stuck } = transitions[kind];
    const ends = {
      [kind]: succeeded,
      [`${kind} failed`]: failed,
      [`${kind} cancelled`]: cancelled,
      [`${kind} stuck`]: stuck,
    };
    for (const [label, end] of Object.entries(ends)) {
      for (const before of from.length === 0 ? ['[*]'] : from) {
        add(during === 'same' ? before : during, end === 'same' ? before : end, label);
      }
    }
    if (during !== 'same')
      for (const before of from.length === 0 ? ['[*]'] : from) add(before, during, `${kind} begins`);
  }
  for (const [power, seen] of Object.entries(observations)) {
    for (const [from, to] of Object.entries(seen)) add(from, to, `host seen ${power}`);
  }
  add('deleted', '[*]', 'kept by age');
  const lines = [...edges].map(([edge, labels]) => `    ${edge}: ${[...labels].join(', ')}`);
  return ['```mermaid', 'stateDiagram-v2', ...lines, '```'].join('\n');
}

/** A row for each operation: where it may begin and where it leads. */
export function transitionTable(): string {
  const rows = KINDS.map((kind) => {
    const { from, during, succeeded, failed, cancelled, stuck } = transitions[kind];
    const begins = from.length === 0 ? 'no instance yet' : from.join(', ');
    return [
      `\`${kind}\``,
      begins,
      ...[during, succeeded, failed, cancelled, stuck].map((each) => (each === 'same' ? '–' : each)),
    ];
  });
  return table(['operation', 'may begin in', 'while it runs', 'succeeded', 'failed', 'cancelled', 'stuck'], rows);
}

/** A Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
