import { createRpcClient, createRpcServer, createTransport, RemoteError, RpcFailure } from 'oslo-messaging';

const transport = createTransport({ url: process.env.TRANSPORT_URL ?? 'rabbit://guest:guest@127.0.0.1/' });

const server = createRpcServer({
  transport,
  exchange: 'demo',
  topic: 'greeter',
  server: 'host-1',
  endpoints: [
    {
      version: '1.0',
      methods: {
        async greet({ name }, ctx) {
          if (typeof name !== 'string') {
            throw new RpcFailure({ rpcClass: 'Invalid', rpcModule: 'greeter.errors', message: 'name must be text' });
          }
          ctx.ack(); // from here on the message is ours: it will not be delivered again
          return `Hello ${name}`;
        },
      },
    },
  ],
});
await server.ready();

const client = createRpcClient({ transport, exchange: 'demo', topic: 'greeter', server: 'host-1', version: '1.0' });
console.log(await client.call('greet', { name: 'Ada' }, { timeoutMs: 5000 }));
try {
  await client.call('greet', { name: 7 });
} catch (error) {
  if (error instanceof RemoteError) console.log(`${error.rpcModule}.${error.rpcClass}: ${error.message}`);
}
await client.cast('greet', { name: 'all' }, { fanout: true, mandatory: true });

await client.close();
await server.stop();
await transport.close();
