"""Stock oslo.messaging as a client. Reads one JSON command per line, writes one JSON answer per line."""
import json
import sys

import contract_conf
import oslo_messaging

start, conf = contract_conf.begin()
transport = oslo_messaging.get_rpc_transport(
    conf, url=start['url'], allowed_remote_exmods=start.get('allowed', ['contract_errors']))
print(json.dumps({'ready': True}), flush=True)

for line in sys.stdin:
    command = json.loads(line)
    target = oslo_messaging.Target(exchange=start['exchange'], topic=start.get('topic', 'compute'), version='1.0')
    client = oslo_messaging.RPCClient(transport, target)
    client = client.prepare(**command.get('prepare', {}))
    answer = {'id': command['id']}
    try:
        if command['kind'] == 'can_send_version':
            answer['result'] = client.can_send_version(**command['args'])
        else:
            send = getattr(client, command['kind'])
            answer['result'] = send(command.get('context', {}), command['method'], **command.get('args', {}))
    except Exception as error:
        answer['error'] = {
            'class': type(error).__name__,
            'module': type(error).__module__,
            'bases': [base.__module__ + '.' + base.__name__ for base in type(error).__mro__],
            'text': str(error),
            'exc_type': getattr(error, 'exc_type', None),
            'value': getattr(error, 'value', None),
            'kwargs': getattr(error, 'kwargs', None),
            'code': getattr(error, 'code', None),
        }
    print(json.dumps(answer), flush=True)
