import type { RedfishClient } from './client.ts';
import { HttpError, ProtocolError, UnsupportedError } from './errors.ts';
import { linkOf, textOf } from './json.ts';
import { readServiceRoot } from './service-root.ts';
import type { CallOptions } from './signals.ts';
import { perform } from './task.ts';

/** A subscription of the service's events by a web server of ours (schema EventDestination). */
export type SubscriptionRequest = {
  /** URL that the service POSTs events to. */
  readonly destination: string;
  /** Comes back with each event. */
  readonly context?: string;
  readonly registryPrefixes?: readonly string[];
  readonly resourceTypes?: readonly string[];
  /** Sent with each event, for example a token that proves the sender. */
  readonly httpHeaders?: Readonly<Record<string, string>>;
};

/** Subscribes (DSP0266 "Event message subscription") and resolves with the path of the subscription. @throws UnsupportedError */
export async function subscribe(
  client: RedfishClient,
  request: SubscriptionRequest,
  options: CallOptions = {},
): Promise<string> {
  using time = client.deadline('subscribe', options);
  const limits = { signal: time.signal, timeoutMs: options.timeoutMs };
  const { eventService } = await readServiceRoot(client, limits);
  if (eventService === undefined) throw new UnsupportedError('the service has no EventService');
  const subscriptions = linkOf((await client.get(eventService, limits)).body, 'Subscriptions');
  if (subscriptions === undefined) throw new UnsupportedError('the EventService takes no subscriptions');
  const answer = await perform(client, 'POST', subscriptions, {
    ...limits,
    body: {
      Destination: request.destination,
      Protocol: 'Redfish',
      SubscriptionType: 'RedfishEvent',
      Context: request.context ?? '',
      ...(request.registryPrefixes === undefined ? {} : { RegistryPrefixes: request.registryPrefixes }),
      ...(request.resourceTypes === undefined ? {} : { ResourceTypes: request.resourceTypes }),
      ...(request.httpHeaders === undefined ? {} : { HttpHeaders: [request.httpHeaders] }),
    },
  });
  const path = answer.location ?? textOf(answer.body, '@odata.id');
  if (path === undefined) throw new ProtocolError('a subscription without Location');
  return path;
}

/** Ends a subscription; one that is gone already is no error. */
export async function unsubscribe(client: RedfishClient, path: string, options: CallOptions = {}): Promise<void> {
  try {
    await perform(client, 'DELETE', path, options);
  } catch (error) {
    if (!(error instanceof HttpError) || ![404, 410].includes(error.status)) throw error;
  }
}
