/** What is told of servers, and when: names and payloads as nova/compute/manager.py of Zed has them. */

import type { JsonObject } from '../../../core/units.ts';
import { type AuditPeriod, currentAuditPeriod, defaultAuditPeriod } from '../notifications/audit-period.ts';
import {
  auditPeriodPayload,
  fixedIps,
  flavorPayload,
  imageMeta,
  legacyAuditPeriod,
  type PayloadName,
} from '../notifications/payloads.ts';
import type { Primitive } from '../wire/objects.ts';
import type { Flow } from './flow.ts';
import { flavorsOf } from './migration.ts';

/** One thing that is told: nova's names of it. */
export interface NotifiedEvent {
  /** `compute.instance.<legacy>`; absent: nova tells it as versioned alone. */
  readonly legacy?: string;
  /** `instance.<versioned>`; absent: nova tells it as legacy alone. */
  readonly versioned?: string;
  readonly payload?: PayloadName;
  readonly legacyMore?: (flow: Flow, instance: Primitive, signal: AbortSignal) => JsonObject | Promise<JsonObject>;
  readonly versionedMore?: (flow: Flow) => JsonObject;
}

/** What is told after a stage has ended. */
export interface NotifiedPoint {
  readonly after: string;
  readonly events: readonly NotifiedEvent[];
}

/** Name of the stage that begins the action's event (bracket.ts). */
const begun = 'event';

type More = Partial<Omit<NotifiedEvent, 'legacy' | 'versioned'>>;

/** `versioned` where nova has another name for it there. */
const both = (legacy: string, more: More = {}, versioned = legacy): NotifiedEvent => ({ legacy, versioned, ...more });

/** Most methods: `<name>.start`, and `<name>.end` after the last save. */
const startToEnd = (
  name: string,
  {
    start = begun,
    end = 'saved',
    versioned = name,
    ...more
  }: More & { readonly start?: string; readonly end?: string; readonly versioned?: string } = {},
): readonly NotifiedPoint[] => [
  { after: start, events: [both(`${name}.start`, more, `${versioned}.start`)] },
  { after: end, events: [both(`${name}.end`, more, `${versioned}.end`)] },
];

const withIps = (_flow: Flow, instance: Primitive): JsonObject => ({ fixed_ips: [...fixedIps(instance)] });

/** The name of an image; empty where Glance does not say it. */
async function imageName(flow: Flow, id: unknown, signal: AbortSignal): Promise<string> {
  if (typeof id !== 'string' || id === '') return '';
  try {
    return (await flow.services().glance.showImage(id, { signal })).name ?? '';
  } catch {
    signal.throwIfAborted();
    return ''; // who listens can live without it
  }
}

const rescued: More = {
  payload: 'InstanceActionRescuePayload',
  legacyMore: async (flow, instance, signal) => ({
    ...withIps(flow, instance),
    rescue_image_name: await imageName(flow, flow.request.image, signal),
  }),
  versionedMore: ({ request }) => ({ rescue_image_ref: request.image ?? null }),
};

const rebuilt = (ips: boolean): More => ({
  payload: 'InstanceActionRebuildPayload',
  legacyMore: async (flow, instance, signal) => ({
    ...(ips ? withIps(flow, instance) : {}),
    image_name: await imageName(flow, flow.request.image, signal),
  }),
  versionedMore: () => ({ trusted_image_certificates: null }),
});

const newFlavor = (flow: Flow): JsonObject => {
  const flavor = flavorsOf(flow).new_flavor as JsonObject | null;
  return (flavor?.['nova_object.data'] ?? {}) as JsonObject;
};

const prepared: More = {
  payload: 'InstanceActionResizePrepPayload',
  versionedMore: (flow) => ({ new_flavor: flavorPayload(newFlavor(flow)) }),
};

const volume: Pick<NotifiedEvent, 'payload' | 'versionedMore'> = {
  payload: 'InstanceActionVolumePayload',
  versionedMore: ({ request }) => ({ volume_id: request.key ?? null }),
};

const volumes = (name: string, last: string): readonly NotifiedPoint[] => [
  { after: begun, events: [{ versioned: `volume_${name}.start`, ...volume }] },
  {
    after: last,
    events: [
      { legacy: `volume.${name}`, legacyMore: ({ request }) => ({ volume_id: request.key ?? null }) },
      { versioned: `volume_${name}.end`, ...volume },
    ],
  },
];

const interfaces = (name: string): readonly NotifiedPoint[] => [
  { after: begun, events: [{ versioned: `interface_${name}.start` }] },
  { after: 'info-cache', events: [{ versioned: `interface_${name}.end` }] },
];

const periodOf = ({ settings, parts }: Flow): AuditPeriod =>
  currentAuditPeriod(settings.usageAuditPeriod ?? defaultAuditPeriod, parts.clock.wallMs());

/** What a server used in this period, before it becomes another: nova's notify_usage_exists. `more`: what it was, where its record says something new. */
const exists = (more: (flow: Flow) => JsonObject = () => ({})): NotifiedEvent =>
  both('exists', {
    payload: 'InstanceExistsPayload',
    legacyMore: (flow) => ({ ...legacyAuditPeriod(periodOf(flow)), ...more(flow) }),
    versionedMore: (flow) => auditPeriodPayload(periodOf(flow)),
  });

/** The image of a server before its rebuild. */
const imageBefore = ({ request }: Flow): JsonObject => ({
  ...(typeof request.imageBefore === 'string' ? { image_ref_url: request.imageBefore } : {}),
  ...(typeof request.metadataBefore === 'object' && request.metadataBefore !== null
    ? { image_meta: imageMeta(request.metadataBefore as JsonObject) }
    : {}),
});

const created = { payload: 'InstanceCreatePayload' } as const;

/** nova's method -> what is told of it. */
export const points: Readonly<Record<string, readonly NotifiedPoint[]>> = {
  build_and_run_instance: [
    {
      after: 'accepted',
      events: [
        both('create.start', {
          ...created,
          legacyMore: ({ request }) => ({ image_name: (request.image as JsonObject | null)?.name ?? '' }),
        }),
      ],
    },
    {
      after: 'active',
      events: [
        both('create.end', {
          ...created,
          legacyMore: (flow, instance) => ({ ...withIps(flow, instance), message: 'Success' }),
        }),
      ],
    },
  ],
  terminate_instance: [
    { after: 'record', events: [both('delete.start'), both('shutdown.start')] },
    { after: 'volumes', events: [both('shutdown.end')] },
    { after: 'gone', events: [both('delete.end')] },
  ],
  start_instance: startToEnd('power_on'),
  stop_instance: startToEnd('power_off'),
  reboot_instance: startToEnd('reboot', { start: 'pending' }),
  pause_instance: startToEnd('pause'),
  unpause_instance: startToEnd('unpause'),
  suspend_instance: startToEnd('suspend'),
  resume_instance: startToEnd('resume'),
  soft_delete_instance: startToEnd('soft_delete'),
  restore_instance: startToEnd('restore'),
  rebuild_instance: [
    { after: begun, events: [exists(imageBefore), both('rebuild.start', rebuilt(false))] },
    { after: 'schedulers', events: [both('rebuild.end', rebuilt(true))] },
  ],
  rescue_instance: [
    { after: begun, events: [both('rescue.start', rescued)] },
    { after: 'rescue', events: [exists()] },
    { after: 'saved', events: [both('rescue.end', rescued)] },
  ],
  unrescue_instance: startToEnd('unrescue', { legacyMore: withIps }),
  shelve_offload_instance: startToEnd('shelve_offload', { end: 'nowhere' }),
  unshelve_instance: startToEnd('unshelve', { end: 'active' }),
  prep_resize: [
    { after: begun, events: [exists(), both('resize.prep.start', prepared, 'resize_prep.start')] },
    {
      after: 'cast',
      events: [
        both(
          'resize.prep.end',
          {
            ...prepared,
            legacyMore: (flow) => {
              const { name = null, id = null } = newFlavor(flow);
              return { new_instance_type: name, new_instance_type_id: id };
            },
          },
          'resize_prep.end',
        ),
      ],
    },
  ],
  resize_instance: startToEnd('resize', { start: 'resize_migrating', end: 'moved', legacyMore: withIps }),
  finish_resize: startToEnd('finish_resize', {
    start: 'resize_finish',
    end: 'schedulers',
    versioned: 'resize_finish',
    legacyMore: withIps,
  }),
  confirm_resize: [
    { after: begun, events: [both('resize.confirm.start', {}, 'resize_confirm.start')] },
    {
      after: 'confirmed-server',
      events: [both('resize.confirm.end', { legacyMore: withIps }, 'resize_confirm.end')],
    },
  ],

  revert_resize: [{ after: begun, events: [exists()] }],
  finish_revert_resize: startToEnd('resize.revert', { end: 'schedulers', versioned: 'resize_revert' }),
  attach_interface: interfaces('attach'),
  detach_interface: interfaces('detach'),
  attach_volume: volumes('attach', 'complete'),
  detach_volume: volumes('detach', 'release'),
};

/** nova's method -> what is told where it failed, with the failure. */
export const failures: Readonly<Record<string, NotifiedEvent>> = {
  build_and_run_instance: both('create.error', created),
  rebuild_instance: both('rebuild.error', {
    payload: 'InstanceActionRebuildPayload',
    versionedMore: () => ({ trusted_image_certificates: null }),
  }),
  reboot_instance: both('reboot.error'),
  prep_resize: both('resize.error'),
  attach_interface: { versioned: 'interface_attach.error' },
  attach_volume: { versioned: 'volume_attach.error', ...volume },
};

/** Methods that end well for their caller where the server could not be made: the conductor is told instead, and nobody of an exception. */
export const withoutException: ReadonlySet<string> = new Set(['build_and_run_instance']);

/** Methods whose versioned notifications have the server's volumes; the others have null, as nova's bdms_in_notifications is off unless set. */
export const withDisks: ReadonlySet<string> = new Set([
  'build_and_run_instance',
  'terminate_instance',
  'reboot_instance',
  'rebuild_instance',
  'shelve_offload_instance',
  'unshelve_instance',
  'resize_instance',
  'finish_resize',
  'finish_revert_resize',
]);
