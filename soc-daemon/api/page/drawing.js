/** The drawing of functions, what serves them on the SoC, and what they are bound to: SVG from what REST answers. */

const SVG = 'http://www.w3.org/2000/svg';
const width = 980;
const rowHeight = 58;
const top = 34;
const columns = [
  { x: 10, w: 250, title: 'host sees' },
  { x: 365, w: 250, title: 'on the DPU' },
  { x: 720, w: 250, title: 'bound to' },
];

function node(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

function box(column, row, lines, kind) {
  const { x, w } = columns[column];
  const y = top + row * rowHeight;
  const [first, second] = lines;
  return node(
    'g',
    { class: `box ${kind}` },
    node('rect', { x, y, width: w, height: rowHeight - 14, rx: 6 }),
    node('text', { x: x + 12, y: y + 19 }, node('title', {}, first), cut(first)),
    node('text', { x: x + 12, y: y + 36, class: 'second' }, second ?? ''),
  );
}

/** As much of a name as fits; the whole of it is the element's title. */
function cut(text) {
  return text.length > 26 ? `${text.slice(0, 25)}…` : text;
}

function line(from, to, row, solid) {
  const y = top + row * rowHeight + (rowHeight - 14) / 2;
  return node('line', {
    x1: columns[from].x + columns[from].w,
    x2: columns[to].x,
    y1: y,
    y2: y,
    class: solid ? 'wire' : 'wire open',
  });
}

/** A new drawing; rows in the order of functions. */
export function draw(functions, bindings) {
  const byFunction = new Map(bindings.map((each) => [each.function_id, each]));
  const height = top + Math.max(functions.length, 1) * rowHeight;
  const drawing = node('svg', {
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    'aria-label': 'functions and bindings',
  });
  for (const { x, title } of columns) drawing.append(node('text', { x, y: 18, class: 'title' }, title));
  functions.forEach((each, row) => {
    const binding = byFunction.get(each.id);
    const plugged = each.plugged ? 'plugged' : 'unplugged';
    const kind = each.owner === 'foreign' ? 'foreign' : plugged;
    drawing.append(box(0, row, [`${each.type} ${each.class}`, each.bdf ?? 'no address yet'], kind));
    const middle = each.representor ?? binding?.bdev ?? (each.class === 'virtio-net' ? 'no representor' : 'not served');
    drawing.append(box(1, row, [middle, each.mac ?? each.id.slice(0, 8)], kind), line(0, 1, row, each.plugged));
    if (binding === undefined) return;
    const [what, id] = binding.kind === 'port' ? ['port', binding.port_id] : ['volume', binding.volume_id];
    const bound = binding.phase === 'bound';
    drawing.append(box(2, row, [`${what} ${String(id).slice(0, 13)}`, binding.phase], bound ? 'plugged' : 'unplugged'));
    drawing.append(line(1, 2, row, bound));
  });
  if (functions.length === 0) {
    drawing.append(node('text', { x: 10, y: top + 24, class: 'second' }, 'no function: the card is empty'));
  }
  return drawing;
}
