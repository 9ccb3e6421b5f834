/** What the daemon accepts as its configuration, and where it says that it does not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { loadConfig } from '../../kit/config.ts';

const least = 'profile: sim\nnode:\n  hostname: node-1\nstate_dir: state\n';

describe('the configuration', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'config-'));
    file = join(folder, 'soc-daemon.yaml');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function load(text: string): ReturnType<typeof loadConfig> {
    writeFileSync(file, text);
    return loadConfig(file);
  }
  function refusal(text: string): DpuError {
    try {
      load(text);
    } catch (error) {
      if (error instanceof DpuError) return error;
      throw error;
    }
    throw new Error('it was accepted');
  }

  it('says the file and line of what only the program can check, and what an enumeration has', () => {
    writeFileSync(file, least);
    const refuse = (): never => {
      throw new DpuError('invalid', "this name won't do", { field: 'node.hostname' });
    };
    expect(() => loadConfig(file, refuse)).toThrow(/soc-daemon\.yaml:3: this name won't do/);
    expect(refusal(`${least}log: { level: loud }\n`).message).toMatch(/:5: .*log\.level must be one of "/);
    const release = `${least}platform: { kind: openstack, openstack: { release: yoga, auth_url: "http://k/v3", password_file: p, transport_url_file: t } }\n`;
    expect(refusal(release).message).toMatch(/platform\.openstack\.release must be one of "zed", "antelope"/);
  });

  it('is complete when the least is said', () => {
    expect(load(least)).toEqual({
      file,
      profile: 'sim',
      node: { hostname: 'node-1', type: 'BM' },
      state_dir: join(folder, 'state'),
      store: {},
      amqp: null,
      platform: { kind: 'amqp', openstack: null },
      rest: {
        socket: join(folder, 'state/rest.sock'),
        socket_mode: '0660',
        max_body_bytes: 1_048_576,
        requests_per_second: 200,
        request_timeout_ms: 30_000,
      },
      operations: { max_concurrent: 8, drain_ms: 10_000 },
      reports: { interval_s: 60 },
      reconcile: { interval_s: 60 },
      retention: { days: 30, max_operations: 10_000 },
      disk: { low_mib: 512, full_mib: 64 },
      clock: { check: 'auto' },
      catalogue: { flavors: {}, subnets: {} },
      instances: { config_drive: 'off' },
      functions: { kind: 'sim', socket: '/run/dpu-compute-snic/snic.sock', restricted_host: 'warn' },
      network: {
        kind: 'sim',
        ovsdb: 'unix:/run/openvswitch/db.sock',
        bridge: 'br-int',
        flows: 'ours',
        wait_ovn_installed: false,
        anti_spoof: false,
        devlink: false,
        bind_timeout_s: 15,
        tunnels: [],
        local: { enabled: false, lease_s: 86_400 },
      },
      storage: {
        kind: 'sim',
        socket: '/var/tmp/spdk.sock',
        front: 'vhost',
        call_timeout_s: 20,
        backing: 'files',
        images_dir: join(folder, 'state/images'),
        volumes_dir: join(folder, 'state/volumes'),
        local_dirs: [],
        store_bytes: 68_719_476_736,
        volumes: {},
        ceph_keys: {},
        initiator_iqn: 'iqn.2016-06.io.spdk:init',
        wipe: 'none',
      },
      host: { kind: 'sim', call_timeout_s: 15, power_timeout_s: 45, hardware: {}, bios: { restore: true, ignore: [] } },
      sim: {
        latency_ms: 0,
        model: 'BF2',
        functions: 64,
        host: { cpus: 64, memory_mib: 524_288, serial_number: 'SIM0001' },
        images: { demo: { size_bytes: 1_073_741_824 } },
        volumes: {},
      },
      log: { level: 'info' },
    });
  });

  it('fills in what is not said of a part that is there', () => {
    expect(load(`${least}amqp: {}\n`).amqp).toMatchObject({ exchange: 'dpu', topic: 'compute', prefetch: 64 });
    const { catalogue } = load(`${least}catalogue:\n  subnets:\n    net1: { cidr: 10.0.0.0/24 }\n`);
    expect(catalogue).toEqual({ flavors: {}, subnets: { net1: { cidr: '10.0.0.0/24', mac_prefix: 'fa:16:3e' } } });
  });

  it('keeps the defaults of one file from another', () => {
    load(`${least}log: { level: debug }\n`);
    expect(load(least).log.level).toBe('info');
  });

  it('names the node of an OpenStack as the node, and reads its secrets from where the file lies', () => {
    const group = (more: string): string =>
      `${least}platform: { kind: openstack, openstack: { auth_url: "http://127.0.0.1:5000", ${more} } }\n`;
    const secrets = 'transport_url_file: url, password_file: ../password, ca_file: /ca.pem';
    const { kind, openstack } = load(group(secrets)).platform;
    expect(kind).toBe('openstack');
    expect(openstack).toMatchObject({
      release: 'zed',
      host: 'node-1',
      hypervisor_hostname: 'node-1',
      transport_url_file: join(folder, 'url'),
      password_file: join(folder, '../password'),
      ca_file: '/ca.pem',
      username: 'nova',
      project: 'service',
      interface: 'internal',
      report_interval_s: 10,
      console: { address: '127.0.0.1', proxies: ['127.0.0.1'] },
      rpc: { durable_queues: false, transient_queues_ttl_s: 1800 },
    });
    expect(load(group('host: h')).platform.openstack).toMatchObject({ host: 'h', hypervisor_hostname: 'h' });
    expect(refusal(group('password: secret')).message).toContain('password');
    expect(refusal(`${least}platform: { kind: openstack, openstack: {} }\n`).message).toContain('auth_url');
  });

  it('reads paths from where the file lies, and leaves absolute ones', () => {
    const config = load(
      `${least}store: { key_file: key }\namqp: { transport_url_file: ../url }\nsim: { world_file: /w.db }\n` +
        'rest: { socket: s, tcp: { port: 0, cert_file: c, key_file: k, token_file: t } }\n',
    );
    expect(config).toMatchObject({
      store: { key_file: join(folder, 'key') },
      amqp: { transport_url_file: join(folder, '../url') },
      sim: { world_file: '/w.db' },
      rest: {
        socket: join(folder, 's'),
        tcp: {
          host: '127.0.0.1',
          cert_file: join(folder, 'c'),
          key_file: join(folder, 'k'),
          token_file: join(folder, 't'),
        },
      },
    });
  });

  it.each([
    ['a foreign key', `${least}\nlogg:\n  level: info\n`, 6, 'logg'],
    ['a foreign key far inside', `${least}sim:\n  host:\n    cpus: 1\n    ram: 2\n`, 8, 'sim.host.ram'],
    ['a bad value', `${least}operations:\n  max_concurrent: none\n`, 6, 'operations.max_concurrent'],
    [
      'a value out of range',
      `${least}operations:\n  drain_ms: 5\n  max_concurrent: 0\n`,
      7,
      'operations.max_concurrent',
    ],
    [
      'a bad value in a table',
      `${least}catalogue:\n  flavors:\n    f1: { vcpus: 1, memory_mib: x }\n`,
      7,
      'memory_mib',
    ],
    ['another profile', `# a comment\n\n${least.replace('sim', 'none')}`, 3, 'profile'],
    ['a word for a number', `${least}reports: { interval_s: "60" }\n`, 5, 'reports.interval_s'],
    ['YAML 1.1 truth', `${least}amqp: { auto_delete: yes }\n`, 5, 'amqp.auto_delete'],
  ])('refuses %s with its line', (_what, text, line, field) => {
    const error = refusal(text);
    expect(error.code).toBe('invalid');
    expect(error.message).toMatch(new RegExp(`^${file}:${line}: `));
    expect(error.message).toContain(field);
  });

  it('names what is missing', () => {
    expect(refusal('profile: sim\nstate_dir: x\nnode: {}\n').message).toMatch(/:3: .*node\.hostname is missing/);
    expect(refusal('profile: sim\nstate_dir: x\n').message).toContain('node is missing');
    expect(refusal('').message).toContain('is missing');
  });

  it('never quotes a value', () => {
    expect(refusal(`${least}amqp:\n  prefetch: rabbit://u:hunter2@h/\n`).message).not.toContain('hunter2');
    expect(refusal(`${least}amqp: {hunter2\n`).message).not.toContain('hunter2');
  });

  it.each([
    ['the same key twice', `${least}log: {}\nlog: {}\n`, /:6: .*duplicate key/],
    ['broken YAML', `${least}node: [\n`, /:\d+: not valid YAML/],
    ['two documents', `${least}---\n${least}`, /:\d+: not valid YAML/],
    ['a list', '- a\n', /it must be object/],
    ['a text', 'sim\n', /it must be object/],
    ['more than 1 MiB', `${least}#${'x'.repeat(1_048_576)}\n`, /larger than 1 MiB/],
    ['a merge key', `${least}log: &l { level: info }\nreports:\n  <<: *l\n`, /<</],
  ])('refuses %s', (_what, text, message) => {
    expect(refusal(text)).toMatchObject({ code: 'invalid', message: expect.stringMatching(message) as string });
  });

  it('refuses aliases that expand without end', () => {
    const levels = Array.from({ length: 9 }, (_, n) =>
      n === 0
        ? 'a0: &a0 [x, x]'
        : `a${n}: &a${n} [${Array(9)
            .fill(`*a${n - 1}`)
            .join(', ')}]`,
    );
    expect(refusal(`${levels.join('\n')}\n`).message).toContain('aliases expand too far');
  });

  it('says which file is not there', () => {
    expect(() => loadConfig(join(folder, 'absent.yaml'))).toThrow(join(folder, 'absent.yaml'));
    expect(() => loadConfig(folder)).toThrow(folder);
  });
});
