/** The console's page: a terminal on the instance's serial console. Address: `/console?instance=UUID`. */

const instance = new URLSearchParams(location.search).get('instance') ?? '';
const element = (id) => document.getElementById(id);
const terminal = new globalThis.Terminal({ cols: 100, rows: 32, convertEol: false, scrollback: 5000, fontSize: 14 });
terminal.open(element('terminal'));
terminal.focus();

let socket;

function show(text, kind) {
  element('role').textContent = text;
  element('role').className = `badge ${kind}`;
}

function onRole(writes) {
  show(writes ? 'you write' : 'you watch', writes ? 'good' : 'quiet');
  element('take').hidden = writes;
}

async function connect() {
  element('again').hidden = true;
  show('connecting', 'quiet');
  const answer = await fetch(`/v1/instances/${encodeURIComponent(instance)}/console`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'serial' }),
  });
  const body = await answer.json();
  if (!answer.ok) return ended(body.detail);
  const { token } = body;
  socket = new WebSocket(`wss://${location.host}/v1/console?token=${encodeURIComponent(token)}`);
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('message', ({ data }) => {
    if (typeof data !== 'string') return terminal.write(new Uint8Array(data));
    const message = JSON.parse(data);
    if (message.type === 'role') onRole(message.writes);
  });
  socket.addEventListener('close', ({ reason }) => ended(reason || 'the connection ended'));
}

function ended(why) {
  show(why, 'bad');
  element('take').hidden = true;
  element('again').hidden = false;
}

terminal.onData((text) => socket?.readyState === WebSocket.OPEN && socket.send(new TextEncoder().encode(text)));
element('take').addEventListener('click', () => {
  socket?.send(JSON.stringify({ type: 'take' }));
  terminal.focus();
});
element('again').addEventListener('click', () => connect().catch((error) => ended(String(error))));
const named = await fetch(`/v1/instances/${encodeURIComponent(instance)}`).then((answer) => answer.json());
element('name').textContent = `Console of ${named.name ?? instance}`;
document.title = element('name').textContent;
connect().catch((error) => ended(String(error)));
