import { DpuError } from '../core/errors.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { Log } from '../core/ports/log.ts';
import type { NodeStore } from '../core/ports/node-store.ts';
import type { Random } from '../core/ports/random.ts';
import { asId, type InstanceId } from '../core/units.ts';
import type { LoadedConfig, OpenStackConfig } from '../kit/config.ts';
import { readCredential, readSecretFile } from '../kit/credentials.ts';
import type { Openstack, OpenstackSettings } from '../platform-adapter/openstack/adapter.ts';
import { connectorOf } from '../platform-adapter/openstack/connector.ts';
import { defaultNodeSettings } from '../platform-adapter/openstack/node/settings.ts';
import type { EndpointInterface } from '../platform-adapter/openstack/rest/keystone.ts';
import type { ApiOptions } from './api/create-api.ts';

/** What the node's place in an OpenStack cloud is made of. */
export interface OpenstackRoot {
  readonly config: LoadedConfig;
  /** The node's uuid: that of its ComputeNode and resource provider. */
  readonly uuid: string;
  readonly nodeType: 'BM' | 'VM';
  readonly key: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onFatal: (error: unknown) => void;
}

/** The platform's settings where it is OpenStack; null: it is not. @throws DpuError `invalid` when they are missing. */
export function openstackConfig(config: LoadedConfig): OpenStackConfig | null {
  if (config.platform.kind !== 'openstack') return null;
  const { openstack } = config.platform;
  if (!openstack) {
    throw new DpuError('invalid', 'platform.kind openstack needs the group platform.openstack', {
      field: 'platform.openstack',
    });
  }
  return openstack;
}

/** A secret from its file, or the systemd credential of that name. @throws DpuError `invalid` where there is neither, and of readSecretFile. */
function secret(file: string | undefined, setting: string, credential: string): string {
  const text = file === undefined ? readCredential(credential) : readSecretFile(file);
  if (text !== null) return text;
  throw new DpuError('invalid', `platform.openstack needs ${setting}, or the systemd credential ${credential}`, {
    field: `platform.openstack.${setting}`,
  });
}

/** The broker's address with its password. @throws DpuError. */
export function openstackTransportUrl(openstack: OpenStackConfig): string {
  return secret(openstack.transport_url_file, 'transport_url_file', 'transport-url');
}

/** Who the node is at Keystone, with its password or secret. @throws DpuError. */
export function openstackCredentials(openstack: OpenStackConfig): OpenstackSettings['keystone']['credentials'] {
  const { application_credential: credential } = openstack;
  if (credential) {
    const text = secret(credential.secret_file, 'application_credential.secret_file', 'openstack-password');
    return { kind: 'application_credential', id: credential.id, secret: text };
  }
  return {
    kind: 'password',
    username: openstack.username,
    password: secret(openstack.password_file, 'password_file', 'openstack-password'),
    userDomain: openstack.user_domain,
    project: openstack.project,
    projectDomain: openstack.project_domain,
  };
}

/** The endpoint that is asked for first, and those that stand in for it. */
function interfaces(first: EndpointInterface): readonly EndpointInterface[] {
  return [first, ...(['internal', 'public'] as const).filter((each) => each !== first)];
}

/** SPDK's own name, the setting's default. All nodes would have it: Cinder is told one that follows from the node instead. */
const spdkInitiator = 'iqn.2016-06.io.spdk:init';

function settingsOf(root: OpenstackRoot, openstack: OpenStackConfig): OpenstackSettings {
  const { config, uuid, nodeType } = root;
  const { storage } = config;
  const { rpc, console: consoles } = openstack;
  const host = openstack.host ?? config.node.hostname;
  const node = openstack.hypervisor_hostname ?? host;
  const hostIp = consoles.address;
  return {
    release: openstack.release,
    keystone: {
      authUrl: openstack.auth_url,
      credentials: openstackCredentials(openstack),
      region: openstack.region ?? null,
      interfaces: interfaces(openstack.interface),
      endpoints: openstack.endpoints,
    },
    caFile: openstack.ca_file ?? null,
    callTimeoutMs: openstack.call_timeout_s * 1000,
    transportUrl: openstackTransportUrl(openstack),
    flags: {
      durableQueues: rpc.durable_queues,
      autoDelete: rpc.auto_delete,
      quorumQueues: rpc.quorum_queues,
      transientQueuesTtlSec: rpc.transient_queues_ttl_s,
    },
    heartbeatSec: rpc.heartbeat_s,
    prefetch: rpc.prefetch,
    maxBodyBytes: rpc.max_body_bytes,
    node: {
      ...defaultNodeSettings,
      host,
      node,
      uuid,
      hostIp,
      arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
      bareMetalClass: openstack.bare_metal_class,
      diskGb: openstack.disk_gib,
      reservedMemoryMb: openstack.reserved_host_memory_mib,
      reservedCpus: openstack.reserved_host_cpus,
      cpuAllocationRatio: openstack.cpu_allocation_ratio,
      ramAllocationRatio: openstack.ram_allocation_ratio,
      traits: [...defaultNodeSettings.traits, ...openstack.traits],
      reportIntervalMs: openstack.report_interval_s * 1000,
      resourcesIntervalMs: openstack.resource_interval_s * 1000,
      resizeConfirmWindowSec: openstack.resize_confirm_window_s,
      reclaimIntervalSec: openstack.reclaim_instance_interval_s,
    },
    flows: {
      host,
      node,
      nodeType,
      vifPluggingTimeoutMs: openstack.vif_plugging_timeout_s * 1000,
      vifPluggingIsFatal: openstack.vif_plugging_is_fatal,
      volumeType: openstack.volume_type ?? null,
      availabilityZone: openstack.availability_zone ?? null,
      usageAuditPeriod: openstack.instance_usage_audit_period,
      connector: connectorOf({
        host,
        ip: hostIp,
        hostNqn: storage.host_nqn ?? null,
        ...(storage.initiator_iqn === spdkInitiator ? {} : { initiatorIqn: storage.initiator_iqn }),
        uuid,
      }),
    },
    notifications: openstack.notifications,
    usageAudit: openstack.instance_usage_audit,
    consoles: {
      address: consoles.address,
      proxies: consoles.proxies,
      serialUrl: consoles.serial_url ?? null,
      vncUrl: consoles.vnc_url ?? null,
    },
  };
}

/** Opens the adapter where the platform is OpenStack, and loads it then only. Part of the composition root. */
export async function openPlatform(root: OpenstackRoot): Promise<Openstack | null> {
  const openstack = openstackConfig(root.config);
  if (!openstack) return null;
  const { config, key, clock, random, log, onFatal } = root;
  const { openOpenstack } = await import('../platform-adapter/openstack/adapter.ts');
  const settings = settingsOf(root, openstack);
  return openOpenstack({ settings, stateDir: config.state_dir, key, clock, random, log, onFatal });
}

/** As many as an operator may look at when one is taken up again. */
const mostRequests = 10_000;

/** What operators may see and do of a platform that keeps a journal of its own. */
export function platformRequests(
  platform: Pick<Openstack, 'requests' | 'retry'>,
  store: Pick<NodeStore, 'audit'>,
): Required<Pick<ApiOptions, 'platformRequests' | 'retryPlatformRequest'>> {
  return {
    platformRequests: platform.requests,
    async retryPlatformRequest(id, { by }) {
      const asked = platform.requests(mostRequests).find((each) => each.id === id);
      await platform.retry(id);
      const instance = asked ? asId<InstanceId>(asked.instance) : null;
      await store.audit({ by, action: 'retry_platform_request', instance, operation: null });
    },
  };
}
