"""Looks at a Redfish service with stock sushy: JSON commands on stdin, one JSON answer a line on stdout."""
import json
import sys

import sushy
import urllib3

urllib3.disable_warnings()
start = json.loads(sys.stdin.readline())
root = sushy.Sushy(start['url'], start['username'], start['password'], verify=start['ca'])


def look(system):
    boot = system.boot
    chassis = root.get_chassis_collection().get_members()
    return {
        'uuid': system.uuid,
        'serial': system.serial_number.strip(),
        'power': system.power_state.value,
        'resets': sorted(value.value for value in system.get_allowed_reset_system_values()),
        'memoryGiB': system.memory_summary.size_gib,
        'processors': [[one.model, one.total_cores, one.total_threads] for one in system.processors.get_members()],
        'macs': sorted(mac.lower() for mac in system.ethernet_interfaces.summary),
        'drives': [
            [drive.serial_number, drive.capacity_bytes]
            for storage in system.storage.get_members()
            for drive in storage.drives
        ],
        'boot': [boot.enabled.value, boot.target.value, boot.mode.value],
        'bios': system.bios.attributes,
        'biosPending': system.bios.pending_attributes,
        'chassis': [[one.serial_number, one.chassis_type.value] for one in chassis],
        'managers': [one.firmware_version for one in root.get_manager_collection().get_members()],
    }


for line in sys.stdin:
    command = json.loads(line)
    system = root.get_system_collection().get_members()[0]
    system.refresh(force=True)
    if command['do'] == 'reset':
        system.reset_system(sushy.ResetType(command['type']))
        print(json.dumps({'done': True}), flush=True)
    elif command['do'] == 'boot':
        system.set_system_boot_options(
            sushy.BootSource(command['target']), sushy.BootSourceOverrideEnabled(command['enabled'])
        )
        print(json.dumps({'done': True}), flush=True)
    elif command['do'] == 'bios':
        system.bios.set_attribute(command['name'], command['value'])
        print(json.dumps({'done': True}), flush=True)
    else:
        print(json.dumps(look(system)), flush=True)
