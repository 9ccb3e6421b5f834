"""Adds and removes ports with Python's ovs.db.idl, one transaction each; prints seconds as JSON. Arguments: remote, schema, count."""

import json
import sys
import time

import ovs.db.idl
import ovs.poller

remote, schema, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

helper = ovs.db.idl.SchemaHelper(schema)
helper.register_columns("Open_vSwitch", ["bridges", "next_cfg"])
helper.register_columns("Bridge", ["name", "ports"])
helper.register_columns("Port", ["name", "interfaces", "external_ids"])
helper.register_columns("Interface", ["name", "type"])
idl = ovs.db.idl.Idl(remote, helper)
while not idl.has_ever_connected():
    idl.run()
    poller = ovs.poller.Poller()
    idl.wait(poller)
    poller.timer_wait(20)  # it can wait for ever with the first content read already
    poller.block()

root = next(iter(idl.tables["Open_vSwitch"].rows.values()))
bridge = next(iter(idl.tables["Bridge"].rows.values()))


def commit(txn):
    status = txn.commit_block()
    if status != ovs.db.idl.Transaction.SUCCESS:
        raise RuntimeError(status)


start = time.monotonic()
for i in range(count):
    txn = ovs.db.idl.Transaction(idl)
    interface = txn.insert(idl.tables["Interface"])
    interface.name = f"p{i}"
    interface.type = "internal"
    port = txn.insert(idl.tables["Port"])
    port.name = f"p{i}"
    port.interfaces = [interface]
    port.external_ids = {"owner": "bench"}
    bridge.addvalue("ports", port)
    root.increment("next_cfg") if hasattr(root, "increment") else txn._increment(root, "next_cfg")
    commit(txn)
added = time.monotonic()
by_name = {port.name: port for port in idl.tables["Port"].rows.values()}
for i in range(count):
    txn = ovs.db.idl.Transaction(idl)
    bridge.delvalue("ports", by_name[f"p{i}"])
    root.increment("next_cfg") if hasattr(root, "increment") else txn._increment(root, "next_cfg")
    commit(txn)
removed = time.monotonic()
print(json.dumps({"add": added - start, "remove": removed - added}))
