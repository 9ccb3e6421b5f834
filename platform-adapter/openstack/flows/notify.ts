/** Notifications of a flow: stages between its own, each told at least once, and none worth the flow. */

import { hasCode } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { NotificationKind } from '../notifications/notifier.ts';
import { fixedIps, legacyPayload, type PayloadName, versionedPayload } from '../notifications/payloads.ts';
import { getInstancePrimitive } from '../wire/instances.ts';
import type { Primitive } from '../wire/objects.ts';
import type { Flow, Stage } from './flow.ts';

/** One thing that is told: nova's names of it. */
interface Event {
  /** `compute.instance.<legacy>`; absent: nova tells it as versioned alone. */
  readonly legacy?: string;
  /** `instance.<versioned>`; absent: nova tells it as legacy alone. */
  readonly versioned?: string;
  readonly payload?: PayloadName;
  readonly legacyMore?: (flow: Flow, instance: Primitive) => JsonObject;
  readonly versionedMore?: (flow: Flow) => JsonObject;
}

/** What is told after a stage has ended. */
interface Point {
  readonly after: string;
  readonly events: readonly Event[];
}

/** Name of the stage that begins the action's event (bracket.ts). */
const begun = 'event';

const both = (name: string): Event => ({ legacy: name, versioned: name });

/** Most methods: `<name>.start`, and `<name>.end` after the last save. */
const startToEnd = (name: string, { start = begun, end = 'saved' } = {}): readonly Point[] => [
  { after: start, events: [both(`${name}.start`)] },
  { after: end, events: [both(`${name}.end`)] },
];

const rescued: Pick<Event, 'payload' | 'versionedMore'> = {
  payload: 'InstanceActionRescuePayload',
  versionedMore: ({ request }) => ({ rescue_image_ref: request.image ?? null }),
};

const volumes = (name: string, last: string): readonly Point[] => {
  const versioned = {
    payload: 'InstanceActionVolumePayload',
    versionedMore: ({ request }: Flow) => ({ volume_id: request.key ?? null }),
  } as const;
  return [
    { after: begun, events: [{ versioned: `volume_${name}.start`, ...versioned }] },
    {
      after: last,
      events: [
        { legacy: `volume.${name}`, legacyMore: ({ request }) => ({ volume_id: request.key ?? null }) },
        { versioned: `volume_${name}.end`, ...versioned },
      ],
    },
  ];
};

const created = { payload: 'InstanceCreatePayload' } as const;

/** nova's method -> what is told of it, as nova/compute/manager.py of Zed does. */
const points: Readonly<Record<string, readonly Point[]>> = {
  build_and_run_instance: [
    {
      after: 'accepted',
      events: [
        {
          ...both('create.start'),
          ...created,
          legacyMore: ({ request }) => ({ image_name: (request.image as JsonObject | null)?.name ?? '' }),
        },
      ],
    },
    {
      after: 'active',
      events: [
        {
          ...both('create.end'),
          ...created,
          legacyMore: (_flow, instance) => ({ fixed_ips: fixedIps(instance), message: 'Success' }),
        },
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
  rescue_instance: [
    { after: begun, events: [{ ...both('rescue.start'), ...rescued }] },
    { after: 'saved', events: [{ ...both('rescue.end'), ...rescued }] },
  ],
  unrescue_instance: startToEnd('unrescue'),
  shelve_offload_instance: startToEnd('shelve_offload', { end: 'nowhere' }),
  unshelve_instance: startToEnd('unshelve', { end: 'active' }),
  attach_volume: volumes('attach', 'complete'),
  detach_volume: volumes('detach', 'release'),
};

/** Methods whose notifications have a list of disks: an empty one, as nova's bdms_in_notifications is off unless set. */
const withDisks: ReadonlySet<string> = new Set([
  'build_and_run_instance',
  'terminate_instance',
  'reboot_instance',
  'shelve_offload_instance',
  'unshelve_instance',
]);

/** What a server's notifications need of its record. */
const expected = ['flavor', 'info_cache', 'metadata', 'system_metadata', 'keypairs', 'tags'];

async function tell(flow: Flow, kind: NotificationKind, name: string, payload: JsonObject, signal: AbortSignal) {
  try {
    await flow.parts.notifier?.send(kind, name, payload, { context: flow.context, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    // as nova's own: who listens to the cloud must not be able to stop it
    flow.parts.log.warn('a notification was not sent', { flow: flow.id, event: name, error });
  }
}

function stageOf(flow: Flow, { after, events }: Point): Stage {
  return {
    name: `notify:${after}`,
    async run({ signal }) {
      const { notifier } = flow.parts;
      if (!notifier) return undefined;
      // one that was deleted just now is told of, too
      const conductor = flow.adminConductor(signal, flow.method === 'terminate_instance' ? 'yes' : 'no');
      let instance: Primitive;
      try {
        instance = await getInstancePrimitive(conductor, flow.instance, expected);
      } catch (error) {
        if (hasCode(error, 'unavailable') || hasCode(error, 'timeout')) throw error;
        if (!hasCode(error, 'not_found')) flow.parts.log.warn('a notification was not sent', { flow: flow.id, error });
        return undefined; // a delete has it by now
      }
      for (const { legacy, versioned, payload = 'InstanceActionPayload', ...more } of events) {
        if (legacy !== undefined && notifier.sends('legacy')) {
          const said = legacyPayload(instance, more.legacyMore?.(flow, instance));
          await tell(flow, 'legacy', `compute.instance.${legacy}`, said, signal);
        }
        if (versioned !== undefined && notifier.sends('versioned')) {
          const said = versionedPayload(payload, instance, flow.context, {
            ...(withDisks.has(flow.method) ? { block_devices: [] } : {}),
            ...more.versionedMore?.(flow),
          });
          await tell(flow, 'versioned', `instance.${versioned}`, said, signal);
        }
      }
      return undefined;
    },
  };
}

/** The stages with those that tell of them, where the request came while notifications were asked for. */
export function withNotifications(flow: Flow, stages: readonly Stage[]): readonly Stage[] {
  const told = flow.request.notify === true ? points[flow.method] : undefined;
  if (told === undefined) return stages;
  return stages.flatMap((stage) => [
    stage,
    ...told.filter(({ after }) => after === stage.name).map((point) => stageOf(flow, point)),
  ]);
}
