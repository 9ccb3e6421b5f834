import type { StepContext } from '../../../core/operation/plan.ts';
import type { Json } from '../../../core/units.ts';
import { getInstance } from '../wire/instances.ts';
import { isAway } from './bracket.ts';
import { buildArguments } from './build-stages.ts';
import { compute, destroyHere } from './compute.ts';
import type { Flow } from './flow.ts';
import { keptPortsStage, keptVolumesStage } from './moved-server.ts';

/**
 * Makes a server of this host that the node does not know (its DPU was flashed anew), with the ports and volumes that nova has of it: a hard reboot or a start makes the
 * guest from nova's records, as with nova's own drivers. One that can't be made leaves nothing on the node.
 */
export async function makeHere(flow: Flow, context: StepContext): Promise<void> {
  const { signal } = context;
  flow.parts.log.warn('the node does not know a server of nova on it; it is made from its record', { flow: flow.id });
  const found = await getInstance(flow.conductor(signal), flow.instance, ['flavor', 'metadata', 'system_metadata']);
  const whole: Flow = { ...flow, request: { ...flow.request, instance: found as unknown as Json } };
  const volumes = (await keptVolumesStage(whole).run(context)) ?? null;
  const ports = (await keptPortsStage(whole).run(context)) ?? null;
  const args = buildArguments(whole, (stage) => (stage === 'volumes' ? volumes : ports));
  try {
    await compute(flow, 'made', 'build_and_run_instance', args, signal);
  } catch (error) {
    if (!isAway(error) && !signal.aborted) await destroyHere(flow, signal);
    throw error;
  }
  flow.parts.resourcesChanged();
}
