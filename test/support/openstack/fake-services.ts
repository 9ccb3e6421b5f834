import { randomUUID } from 'node:crypto';
import { DpuError } from '../../../core/errors.ts';
import type { Services } from '../../../platform-adapter/openstack/flows/flow.ts';
import type { Attachment, Cinder, CinderVolume } from '../../../platform-adapter/openstack/rest/cinder.ts';
import type { Glance, GlanceImage } from '../../../platform-adapter/openstack/rest/glance.ts';
import type { Neutron, Port } from '../../../platform-adapter/openstack/rest/neutron.ts';
import type { ConsumerAllocations, Placement } from '../../../platform-adapter/openstack/rest/placement.ts';

/** Neutron, Cinder and Placement, as far as flows use them. */
export interface FakeServices {
  readonly services: Services;
  readonly placement: Placement;
  readonly ports: Map<string, Port>;
  readonly volumes: Map<string, CinderVolume>;
  readonly attachments: Map<string, Attachment>;
  /** Consumers that hold something. */
  readonly allocations: Set<string>;
  /** Consumer -> provider -> what it holds there, for flows that look closer. Providers have the names of their nodes as uuids. */
  readonly held: Map<string, ConsumerAllocations['allocations']>;
  addPort(fields?: Partial<Port>): Port;
  addVolume(fields?: Partial<CinderVolume>): CinderVolume;
  addAttachment(volume: string, instance: string): Attachment;
  /** Whether a port that is bound goes ACTIVE. */
  plugged: boolean;
  /** Waited for before a port, volume or connection is made, as the service does, whoever has hung up meanwhile. */
  making: Promise<unknown> | null;
  /** Called before each call (`neutron.createPort`); what it throws is the answer. */
  onCall: (name: string) => void | Promise<void>;
}

/** The network that ports are on. */
export const network = 'aaaaaaaa-0000-4000-8000-000000000001';

function missing(what: string): never {
  throw new DpuError('not_found', `${what} is not there`);
}

/** Empty services. */
export function createFakeServices(): FakeServices {
  const ports = new Map<string, Port>();
  const volumes = new Map<string, CinderVolume>();
  const attachments = new Map<string, Attachment>();
  const allocations = new Set<string>();
  const held: FakeServices['held'] = new Map();
  const fake: FakeServices = {
    services: { neutron: {} as Neutron, cinder: {} as Cinder, glance: {} as Services['glance'] },
    placement: watched('placement', {
      async deleteAllocations(consumer: string) {
        allocations.delete(consumer);
      },
      findProviderByName: async (name: string) => ({ uuid: name, name }),
      getAllocations: async (consumer: string) => ({
        allocations: held.get(consumer) ?? {},
        projectId: 'project',
        userId: 'user',
        consumerGeneration: 1,
      }),
      async putAllocations(consumer: string, { allocations: wanted }: ConsumerAllocations) {
        held.set(consumer, wanted);
      },
      async moveAllocations(from: string, to: string) {
        if (!allocations.delete(from)) return false;
        allocations.add(to);
        return true;
      },
    }) as unknown as Placement,
    ports,
    volumes,
    attachments,
    allocations,
    held,
    addPort(fields = {}) {
      const port: Port = {
        id: randomUUID(),
        name: '',
        networkId: network,
        projectId: 'project',
        macAddress: `fa:16:3e:00:00:${(ports.size + 16).toString(16)}`,
        adminStateUp: true,
        status: 'DOWN',
        deviceId: '',
        deviceOwner: '',
        fixedIps: [],
        securityGroups: [],
        dnsName: null,
        portSecurityEnabled: true,
        vnicType: 'normal',
        bindingHost: '',
        vifType: 'unbound',
        vifDetails: {},
        bindingProfile: {},
        resourceRequest: null,
        ...fields,
      };
      ports.set(port.id, port);
      return port;
    },
    addVolume(fields = {}) {
      const volume: CinderVolume = {
        id: randomUUID(),
        name: '',
        status: 'available',
        sizeGib: 1,
        bootable: true,
        multiattach: false,
        encrypted: false,
        volumeType: null,
        availabilityZone: null,
        projectId: 'project',
        snapshotId: null,
        attachments: [],
        metadata: {},
        imageMetadata: {},
        sharedTargets: null,
        serviceUuid: null,
        ...fields,
      };
      volumes.set(volume.id, volume);
      return volume;
    },
    addAttachment(volumeId, instance) {
      const attachment: Attachment = {
        id: randomUUID(),
        volumeId,
        instance,
        status: 'reserved',
        attachMode: null,
        connectionInfo: null,
      };
      attachments.set(attachment.id, attachment);
      return attachment;
    },
    plugged: true,
    making: null,
    onCall: () => {},
  };

  function watched<Peer extends object>(service: string, peer: Peer): Peer {
    return new Proxy(peer, {
      get(target, name) {
        const method = Reflect.get(target, name) as ((...args: unknown[]) => unknown) | undefined;
        if (typeof method !== 'function') throw new Error(`the fake ${service} has no ${String(name)}`);
        return async (...args: unknown[]) => {
          await fake.onCall(`${service}.${String(name)}`);
          return await method(...args);
        };
      },
    });
  }

  /** The effect comes when it comes; a caller who hangs up does not hear of it. */
  function made<Thing>(signal: AbortSignal | undefined, effect: () => Thing): Promise<Thing> {
    const work = Promise.resolve(fake.making).then(effect);
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      work.then(resolve, reject);
    });
  }

  const neutron: Partial<Neutron> = {
    listNetworks: async ({ ids, shared }) => {
      if (ids !== undefined || shared === true) return [];
      return [{ id: network, name: 'private', external: false } as Awaited<ReturnType<Neutron['showNetwork']>>];
    },
    showNetwork: async () => missing('the network'),
    listSubnets: async () => [],
    listFloatingIps: async () => [],
    listSecurityGroups: async () => [{ id: 'group-1', name: 'web' }],
    extensions: async () => new Set<string>(),
    listPorts: async ({ deviceId }) => [...ports.values()].filter((port) => port.deviceId === deviceId),
    showPort: async (id) => ports.get(id) ?? missing('the port'),
    createPort: ({ networkId, fixedIps = [], securityGroups = [], ...fields }, options) =>
      made(options?.signal, () =>
        fake.addPort({
          ...(fields as Partial<Port>),
          networkId,
          securityGroups,
          fixedIps: fixedIps.map(({ ipAddress = '10.0.0.9' }) => ({ subnetId: 'subnet', ipAddress })),
        }),
      ),
    async updatePort(id, change) {
      const port = ports.get(id) ?? missing('the port');
      const { bindingHost, ...rest } = change;
      const bound = bindingHost === undefined ? port.bindingHost : (bindingHost ?? '');
      const next = {
        ...port,
        ...(rest as Partial<Port>),
        bindingHost: bound,
        vifType: bound === '' ? 'unbound' : 'ovs',
        status: bound === '' || !fake.plugged ? 'DOWN' : 'ACTIVE',
      };
      ports.set(id, next);
      return next;
    },
    async deletePort(id) {
      ports.delete(id);
    },
  };

  const volume = (id: string): CinderVolume => volumes.get(id) ?? missing('the volume');
  const cinder: Partial<Cinder> = {
    showVolume: async (id) => volume(id),
    listVolumes: async ({ metadata = {} }) =>
      [...volumes.values()].filter((each) =>
        Object.entries(metadata).every(([name, value]) => each.metadata[name] === value),
      ),
    createVolume: ({ sizeGib, metadata = {} }, options) =>
      made(options?.signal, () => fake.addVolume({ sizeGib, metadata, status: 'available' })),
    waitForVolume: async (id) => volume(id),
    async deleteVolume(id) {
      const held = [...attachments.values()].some(({ volumeId }) => volumeId === id);
      if (held || volumes.get(id)?.status === 'attaching') throw new DpuError('bad_state', 'the volume is in use');
      volumes.delete(id);
    },
    async rollDetaching(id) {
      const found = volume(id);
      if (found.status === 'detaching') volumes.set(id, { ...found, status: 'in-use' });
    },
    async reimageVolume(id, { imageId }) {
      const found = volume(id);
      if (found.status !== 'available' && found.status !== 'reserved') throw new DpuError('bad_state', 'in use');
      volumes.set(id, { ...found, imageMetadata: { image_id: imageId } });
    },
    async createAttachment({ volumeId, instance }) {
      // as Cinder: what is being attached is reserved for nobody, not for another host of its server either
      if (volumes.get(volumeId)?.status === 'attaching')
        throw new DpuError('bad_state', 'the volume is being attached', { details: { volume: volumeId } });
      return fake.addAttachment(volumeId, instance);
    },
    showAttachment: async (id) => attachments.get(id) ?? missing('the attachment'),
    listAttachments: async ({ volumeId }) => [...attachments.values()].filter((each) => each.volumeId === volumeId),
    async updateAttachment(id, { host, mountpoint }, options) {
      const { volumeId } = attachments.get(id) ?? missing('the attachment');
      return await made(options?.signal, () => {
        const attachment = attachments.get(id);
        if (attachment === undefined) {
          // as Cinder: what was deleted under its hands leaves the volume in a state that nobody takes it from
          volumes.set(volumeId, { ...volume(volumeId), status: 'attaching' });
          return missing('the attachment');
        }
        const connectionInfo = {
          driver_volume_type: 'iscsi',
          data: {
            auth_password: 'chap-secret',
            volume_id: volumeId,
            for_host: host,
            ...(mountpoint === undefined ? {} : { for_device: mountpoint }),
          },
        };
        const next = { ...attachment, connectionInfo, status: 'attaching' };
        attachments.set(id, next);
        volumes.set(volumeId, { ...volume(volumeId), status: 'attaching' });
        return next;
      });
    },
    async completeAttachment(id) {
      const attachment = attachments.get(id) ?? missing('the attachment');
      attachments.set(id, { ...attachment, status: 'attached' });
      volumes.set(attachment.volumeId, { ...volume(attachment.volumeId), status: 'in-use' });
    },
    async deleteAttachment(id) {
      const attachment = attachments.get(id);
      attachments.delete(id);
      const held = attachment && volumes.get(attachment.volumeId);
      if (held) volumes.set(held.id, { ...held, status: 'available' });
    },
  };
  const glance: Partial<Glance> = {
    showImage: async (id) =>
      ({ id, minDiskGib: 3, sizeBytes: 1, virtualSizeBytes: null, diskFormat: 'qcow2' }) as GlanceImage,
  };
  Object.assign(fake.services, {
    glance: watched('glance', glance),
    neutron: watched('neutron', neutron),
    cinder: watched('cinder', cinder),
  });
  return fake;
}
