"""The platform's end of the reports: a stock oslo.messaging server that prints each cast as a JSON line."""
import json
import sys
import threading

import oslo_messaging
from oslo_config import cfg

conf = cfg.CONF
conf([], project='platform')
start = json.loads(sys.stdin.readline())


out = threading.Lock()


def say(**what):
    with out:  # print writes text and line end apart, and requests run in threads of their own
        print(json.dumps(what), flush=True)


class Endpoint:
    target = oslo_messaging.Target(version='1.0')

    def report_node_status(self, ctxt, **status):
        say(method='report_node_status', args=status)

    def report_instance_status(self, ctxt, **instance):
        say(method='report_instance_status', args=instance)


transport = oslo_messaging.get_rpc_transport(conf, url=start['url'])
target = oslo_messaging.Target(exchange=start['exchange'], topic='platform', server='conductor')
server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor='threading')
# one thread, so that casts are printed in the order in which they came
conf.set_override('executor_thread_pool_size', 1)
server.start()
say(ready=True)
for line in sys.stdin:
    pass
server.stop()
server.wait()
