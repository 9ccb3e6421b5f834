"""The peer of the benchmark: stock oslo.messaging as server and client, threading executor."""
import concurrent.futures
import json
import sys
import time

import oslo_messaging
from oslo_config import cfg

conf = cfg.CONF
conf([], project='bench')
role, calls, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
transport = oslo_messaging.get_rpc_transport(conf, url=sys.stdin.readline().strip())
exchange, topic, server = 'bench', 'python', 'one'


class Endpoint:
    target = oslo_messaging.Target(version='1.0')

    def echo(self, ctxt, text):
        return text


if role == 'server':
    rpc = oslo_messaging.get_rpc_server(
        transport, oslo_messaging.Target(exchange=exchange, topic=topic, server=server), [Endpoint()],
        executor='threading')
    rpc.start()
    print('ready', flush=True)
    sys.stdin.read()
    rpc.stop()
else:
    client = oslo_messaging.RPCClient(
        transport, oslo_messaging.Target(exchange=exchange, topic=topic, server=server, version='1.0'))
    text = 'x' * 200
    client.call({}, 'echo', text=text)
    begun = time.monotonic()
    if at_once == 1:
        for _ in range(calls):
            client.call({}, 'echo', text=text)
    else:
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda _: client.call({}, 'echo', text=text), range(calls)))
    print(json.dumps({'perSecond': calls / (time.monotonic() - begun)}), flush=True)
