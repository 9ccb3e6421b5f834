"""Stock oslo.messaging as a server; says what it was asked for on stdout, one JSON object per line."""
import json
import sys
import threading

import contract_conf
import oslo_messaging

start, conf = contract_conf.begin()
import contract_errors  # noqa: E402

release = threading.Event()
notes = []


out = threading.Lock()


def say(**what):
    with out:  # print writes text and line end apart, and requests run in threads of their own
        print(json.dumps(what), flush=True)


class Endpoint:
    target = oslo_messaging.Target(version='1.2')

    def echo(self, ctxt, **args):
        return {'args': args, 'context': ctxt}

    def nothing(self, ctxt):
        pass

    def note(self, ctxt, text):
        notes.append(text)
        say(noted=text)

    def count(self, ctxt, text):
        return notes.count(text)

    def fail(self, ctxt):
        raise contract_errors.NotFound('no such thing', code=404)

    def wait(self, ctxt):
        say(waiting=True)
        release.wait(60)
        return 'released'


class Named:
    target = oslo_messaging.Target(version='2.0', namespace='other')

    def where(self, ctxt):
        return 'in the namespace'


transport = oslo_messaging.get_rpc_transport(conf, url=start['url'])
target = oslo_messaging.Target(exchange=start['exchange'], topic=start.get('topic', 'platform'), server=start['server'])
server = oslo_messaging.get_rpc_server(transport, target, [Endpoint(), Named()], executor='threading')
server.start()
say(ready=True)
stopping = None


def stop():
    """Takes nothing more and waits for what runs."""
    server.stop()
    say(stopping=True)
    server.wait()


for line in sys.stdin:
    if line.strip() == 'release':
        release.set()
    elif line.strip() == 'stop':
        stopping = threading.Thread(target=stop)
        stopping.start()
if stopping is None:
    stop()
else:
    stopping.join()
