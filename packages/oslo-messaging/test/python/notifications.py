"""Stock oslo.messaging's notifier and, if `topics` are given to listen to, its notification listener."""
import json
import sys
import threading

import contract_conf
import oslo_messaging

start, conf = contract_conf.begin()
transport = oslo_messaging.get_notification_transport(conf, url=start['url'])
out = threading.Lock()


def say(**what):
    with out:
        print(json.dumps(what), flush=True)


class Endpoint:
    """Takes every priority; gives one of the type `again` back the first time."""

    def __init__(self):
        self.seen = set()

    def take(self, priority, ctxt, publisher_id, event_type, payload, metadata):
        first = event_type not in self.seen
        self.seen.add(event_type)
        say(event=event_type, priority=priority, context=ctxt, publisher=publisher_id, payload=payload,
            metadata=metadata)
        if event_type == 'again' and first:
            return oslo_messaging.NotificationResult.REQUEUE
        return oslo_messaging.NotificationResult.HANDLED


def method(priority):
    return lambda self, *args: self.take(priority, *args)


for name in ('audit', 'debug', 'info', 'warn', 'error', 'critical', 'sample'):
    setattr(Endpoint, name, method(name))

listener = None
if start.get('topics'):
    targets = [oslo_messaging.Target(topic=topic, exchange=start['exchange']) for topic in start['topics']]
    listener = oslo_messaging.get_notification_listener(
        transport, targets, [Endpoint()], executor='threading', allow_requeue=True, pool=start.get('pool'))
    listener.start()
notifier = oslo_messaging.Notifier(
    transport, publisher_id='compute.stock', driver=start.get('driver', 'messagingv2'),
    topics=start.get('notify_topics', ['notifications']))
say(ready=True)
for line in sys.stdin:
    command = json.loads(line)
    getattr(notifier, command['priority'])(command.get('context', {}), command['event'], command.get('payload'))
    say(sent=command['event'])
if listener:
    listener.stop()
    listener.wait()
