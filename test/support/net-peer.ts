/** A program that tests run inside of a network namespace: sends, counts and answers. It prints JSON lines. */
import { createSocket } from 'node:dgram';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';

const [command, ...args] = process.argv.slice(2);
const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

/** Sends `pps` datagrams of `bytes` a second for `ms`, evenly, however late the timers are. */
function send(host: string, port: number, pps: number, bytes: number, ms: number): void {
  const socket = createSocket('udp4');
  const payload = Buffer.alloc(bytes);
  const begin = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const elapsed = performance.now() - begin;
    const due = Math.floor((Math.min(elapsed, ms) / 1000) * pps);
    for (; sent < due; sent += 1) socket.send(payload, port, host);
    if (elapsed < ms) return;
    clearInterval(timer);
    socket.close();
    say({ sent, ms: elapsed });
  }, 2);
}

/** Counts datagrams until its input ends. */
function sink(port: number): void {
  let packets = 0;
  let bytes = 0;
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4_000_000 });
  socket.on('message', (message) => {
    packets += 1;
    bytes += message.length;
  });
  socket.bind(port, () => say({ listening: port }));
  process.stdin.resume().on('end', () => {
    say({ packets, bytes });
    socket.close();
  });
}

/** Answers each line of a TCP connection until its input ends. */
function echo(port: number): void {
  const server = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  server.listen(port, '0.0.0.0', () => say({ listening: port }));
  process.stdin.resume().on('end', () => process.exit(0));
}

/** Whether a TCP connection is made and echoes within `ms`. */
function probe(host: string, port: number, ms: number): void {
  const socket = connect(port, host, () => socket.write('hello'));
  const end = (open: boolean): void => {
    say({ open });
    process.exit(0);
  };
  socket.once('data', () => end(true));
  socket.once('error', () => end(false));
  setTimeout(() => end(false), ms);
}

/** What an HTTP server answers; status 0 where none does within `ms`. */
function get(url: string, ms: number, header?: string): void {
  const [name, value] = header?.split(': ') ?? [];
  const asked = request(url, { timeout: ms, headers: name && value ? { [name]: value } : {} }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    response.on('end', () => say({ status: response.statusCode, body }));
  });
  asked.on('timeout', () => asked.destroy(new Error('too late')));
  asked.on('error', () => say({ status: 0, body: '' }));
  asked.end();
}

const numbers = args.map(Number);
if (command === 'send') send(args[0] ?? '', numbers[1] ?? 0, numbers[2] ?? 0, numbers[3] ?? 0, numbers[4] ?? 0);
else if (command === 'sink') sink(numbers[0] ?? 0);
else if (command === 'echo') echo(numbers[0] ?? 0);
else if (command === 'probe') probe(args[0] ?? '', numbers[1] ?? 0, numbers[2] ?? 0);
else if (command === 'get') get(args[0] ?? '', numbers[1] ?? 0, args[2]);
else process.exit(2);
