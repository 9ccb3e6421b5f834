import type { JsonObject } from '../../../core/units.ts';
import type { Conductor } from './conductor.ts';

/**
 * Gives a build back to be tried on the next host of `host_lists`: what a compute service does that can't build (compute_task 1.19).
 * Arguments are those of build_and_run_instance as they came: `instances`, `image`, `filter_properties` (with `retry`),
 * `admin_password`, `injected_files`, `requested_networks`, `security_groups`, `block_device_mapping`, `request_spec`, `host_lists`.
 */
export async function rescheduleBuild(conductor: Conductor, args: JsonObject): Promise<void> {
  const { block_device_mapping: _, ...known } = args; // the conductor reads the mappings from the database since 1.7
  await conductor.computeTask('build_instances', '1.19', known);
}

/** Gives a resize back to be tried on the next host (compute_task 1.20): as `migrate_server` of nova's conductor API. */
export async function rescheduleResize(conductor: Conductor, args: JsonObject): Promise<void> {
  await conductor.computeTask('migrate_server', '1.20', args);
}
