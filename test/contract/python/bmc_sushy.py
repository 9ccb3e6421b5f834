"""Uses the virtual DPU's BMC with stock sushy: JSON commands on stdin, one JSON answer a line on stdout."""
import json
import sys

import sushy

start = json.loads(sys.stdin.readline())
root = sushy.Sushy(start['url'], start['username'], start['password'], verify=start['ca'])


def system():
    found = root.get_system_collection().get_members()[0]
    found.refresh(force=True)
    return found


def look():
    one = system()
    return {
        'uuid': one.uuid,
        'serial': one.serial_number,
        'power': one.power_state.value,
        'resets': sorted(value.value for value in one.get_allowed_reset_system_values()),
        'targets': sorted(value.value for value in one.get_allowed_system_boot_source_values()),
        'boot': [one.boot.enabled.value, one.boot.target.value],
        'cores': [cpu.total_cores for cpu in one.processors.get_members()],
        'memory_gib': one.memory_summary.size_gib,
        'macs': sorted(mac.lower() for mac in one.ethernet_interfaces.summary),
        'drives': sorted([d.serial_number, d.capacity_bytes] for s in one.storage.get_members() for d in s.drives),
        'bios': one.bios.attributes,
        'chassis': [c.serial_number for c in root.get_chassis_collection().get_members()],
        'managers': [m.firmware_version for m in root.get_manager_collection().get_members()],
    }


for line in sys.stdin:
    command = json.loads(line)
    answer = {'done': True}
    if command['do'] == 'reset':
        system().reset_system(sushy.ResetType(command['type']))
    elif command['do'] == 'boot':
        system().set_system_boot_options(
            sushy.BootSource(command['target']), sushy.BootSourceOverrideEnabled(command['enabled'])
        )
    else:
        answer = look()
    print(json.dumps(answer), flush=True)
