"""The first line on stdin as configuration: what an operator writes into a service's file."""
import json
import sys
import tempfile

from oslo_config import cfg


def begin():
    """Returns the start message and the configuration with its `rabbit` options and control exchange."""
    start = json.loads(sys.stdin.readline())
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
        file.write('[DEFAULT]\ncontrol_exchange = %s\n' % start['exchange'])
        file.write('[oslo_messaging_rabbit]\n')
        for key, value in start.get('rabbit', {}).items():
            file.write('%s = %s\n' % (key, value))
        file.flush()
        conf = cfg.CONF
        conf([], project='contract', default_config_files=[file.name])
    sys.path.insert(0, start['module_path'])
    return start, conf
