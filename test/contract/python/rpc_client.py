"""The platform's calls, by stock oslo.messaging. One JSON command a line in, one JSON answer a line out; calls run side by side."""
import json
import sys
import threading

import oslo_messaging
from oslo_config import cfg

conf = cfg.CONF
conf([], project='platform')
start = json.loads(sys.stdin.readline())
transport = oslo_messaging.get_rpc_transport(
    conf, url=start['url'], allowed_remote_exmods=['dpu_compute.errors'])
out = threading.Lock()


def say(what):
    with out:
        print(json.dumps(what), flush=True)


def ask(command):
    target = oslo_messaging.Target(exchange=start['exchange'], topic='compute', version='1.0')
    client = oslo_messaging.RPCClient(transport, target).prepare(**command.get('prepare', {}))
    answer = {'id': command['id']}
    try:
        send = getattr(client, command['kind'])
        answer['result'] = send(command.get('context', {}), command['method'], **command['args'])
    except Exception as error:
        base = type(error).__mro__[1]
        answer['error'] = {
            'class': type(error).__name__.removesuffix('_Remote'),
            'base': base.__module__ + '.' + base.__name__,
            'text': str(error).strip(),
            'exc_type': getattr(error, 'exc_type', None),
            'code': getattr(error, 'code', None),
            'field': getattr(error, 'field', None),
            'details': getattr(error, 'details', None),
        }
    say(answer)


say({'ready': True})
for line in sys.stdin:
    threading.Thread(target=ask, args=(json.loads(line),), daemon=True).start()
