/**
 * A program that the daemon runs inside of a network namespace: it opens DHCP's and the metadata service's sockets there and hands
 * them over. Node can't enter a namespace itself; a socket stays in the one that it was opened in.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

const [address = '', dhcpPort = '67', httpPort = '80'] = process.argv.slice(2);

const server = createServer();
server.listen({ host: address, port: Number(httpPort), backlog: 64 });
await once(server, 'listening');
const socket = createSocket({ type: 'udp4', reuseAddr: true });
socket.bind(Number(dhcpPort), '0.0.0.0');
await once(socket, 'listening');
socket.setBroadcast(true);

process.send?.('http', server, {}, () => {
  process.send?.('dhcp', socket, {}, () => process.disconnect());
});
process.once('disconnect', () => process.exit(0));
