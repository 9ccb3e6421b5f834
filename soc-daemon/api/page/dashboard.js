/** The dashboard: what REST answers, redrawn when the node's events say that something changed. */
import { draw } from '/page/drawing.js';

const element = (id) => document.getElementById(id);
const instances = new Map();
const operations = new Map();
const shownOperations = 12;

/** An element with a class, text or children; text never becomes markup. */
function make(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

async function ask(path) {
  const answer = await fetch(path);
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return await answer.json();
}

function badge(id, text, kind) {
  element(id).textContent = text;
  element(id).className = `badge ${kind}`;
}

function showNode(node) {
  document.title = `${node.hostname} – dpu-compute`;
  element('hostname').textContent = node.hostname;
  badge('ready', node.ready ? 'ready' : 'not ready', node.ready ? 'good' : 'bad');
  badge('power', `host ${node.host_power}`, node.host_power === 'on' ? 'good' : 'quiet');
  element('card').textContent =
    `${node.node_type} node, card ${node.DPU_model}, ${node.used_cpu}/${node.total_cpu} CPUs, ` +
    `${node.used_mem}/${node.total_mem} MiB, serial number ${node.serial_number}`;
  const reasons = element('reasons');
  reasons.hidden = node.not_ready_reasons.length === 0;
  reasons.textContent = node.not_ready_reasons.map((each) => `${each.id}: ${each.message}`).join(' · ');
}

const kindOfState = { active: 'good', error: 'bad', building: 'busy', deleting: 'busy', migrating: 'busy' };

function showInstances() {
  const cards = [...instances.values()].map((each) => {
    const open = make('a', 'button', 'Console');
    open.href = `/console?instance=${encodeURIComponent(each.uuid)}`;
    open.target = '_blank';
    open.rel = 'noopener';
    const facts = [
      ['flavor', `${each.flavor.name}: ${each.flavor.vcpus} CPUs, ${each.flavor.memory_mib} MiB`],
      ...each.interfaces.map((nic) => ['NIC', `${nic.mac ?? '–'} ${nic.ips.join(', ')} ${nic.bdf ?? ''}`]),
      ...each.volumes.map((disk) => [disk.boot ? 'boot disk' : 'disk', `${disk.volume_id} ${disk.bdf ?? ''}`]),
      ['task', each.task === null ? null : `${each.task.kind} ${each.task.step ?? ''}`],
      ['todo', each.todo?.message ?? null],
    ];
    const rows = facts
      .filter(([, value]) => value !== null)
      .map(([name, value]) => make('tr', '', make('th', '', name), make('td', '', value)));
    return make(
      'article',
      'card',
      make('h3', '', each.name, ' ', make('span', `badge ${kindOfState[each.state] ?? 'quiet'}`, each.state)),
      make('p', 'quiet', each.uuid),
      make('table', '', ...rows),
      open,
    );
  });
  element('instances').replaceChildren(...(cards.length === 0 ? [make('p', 'quiet', 'none')] : cards));
}

const kindOfOperation = { succeeded: 'good', failed: 'bad', stuck: 'bad', running: 'busy', unwinding: 'busy' };

function showOperations() {
  const newest = [...operations.values()]
    .sort((a, b) => b.created_at.localeCompare(a.created_at))
    .slice(0, shownOperations);
  const rows = newest.map((each) => {
    const steps = each.steps.map((step) => {
      const mark = make('li', `step ${step.phase}`);
      mark.title = `${step.name}: ${step.phase}${step.error ? ` (${step.error.message})` : ''}`;
      mark.textContent = step.name.replace(/([0-9a-f]{8})-[0-9a-f-]{27}$/, '$1');
      return mark;
    });
    const details = make(
      'details',
      'operation',
      make(
        'summary',
        '',
        make('strong', '', each.kind),
        ' ',
        make('span', `badge ${kindOfOperation[each.state] ?? 'quiet'}`, each.state),
        ' ',
        make('span', 'quiet', `${each.progress.done}/${each.progress.total}`),
        each.error === null ? null : make('span', 'wrong', ` ${each.error.message}`),
      ),
      make('ol', 'steps', ...steps),
    );
    details.open = opened.get(each.id) ?? (each.state === 'running' || each.state === 'unwinding');
    details.addEventListener('toggle', () => opened.set(each.id, details.open));
    return details;
  });
  element('operations').replaceChildren(...(rows.length === 0 ? [make('p', 'quiet', 'none')] : rows));
}
const opened = new Map();

let drawing = false;
let drawAgain = false;

/** Functions and bindings have no events of their own: they change with operations. At most one question at a time. */
async function showWiring() {
  if (drawing) {
    drawAgain = true;
    return;
  }
  drawing = true;
  try {
    const [{ functions }, { bindings }] = await Promise.all([ask('/v1/functions'), ask('/v1/bindings')]);
    element('wiring').replaceChildren(draw(functions, bindings));
  } finally {
    drawing = false;
  }
  if (drawAgain) {
    drawAgain = false;
    await showWiring();
  }
}

async function showAll() {
  const [node, listed, done] = await Promise.all([
    ask('/v1/node'),
    ask('/v1/instances'),
    ask(`/v1/operations?limit=${shownOperations}`),
  ]);
  instances.clear();
  for (const each of listed.instances) if (each.state !== 'deleted') instances.set(each.uuid, each);
  for (const each of done.operations) operations.set(each.id, each);
  showNode(node);
  showInstances();
  showOperations();
  await showWiring();
}

const wrong = (error) => badge('live', String(error.message ?? error), 'bad');
const events = new EventSource('/v1/events');
events.addEventListener('open', () => {
  badge('live', 'live', 'good');
  showAll().catch(wrong); // whatever was missed
});
events.addEventListener('error', () => badge('live', 'connecting again', 'bad'));
events.addEventListener('reset', () => showAll().catch(wrong));
events.addEventListener('node', ({ data }) => showNode(JSON.parse(data)));
events.addEventListener('instance', ({ data }) => {
  const instance = JSON.parse(data);
  if (instance.state === 'deleted') instances.delete(instance.uuid);
  else instances.set(instance.uuid, instance);
  showInstances();
  showWiring().catch(wrong);
});
events.addEventListener('operation', ({ data }) => {
  const operation = JSON.parse(data);
  operations.set(operation.id, operation);
  showOperations();
  showWiring().catch(wrong);
});
