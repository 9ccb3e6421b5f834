import { novaError } from '../wire/nova-errors.ts';
import { readServer } from './arguments.ts';
import { bracketed } from './bracket.ts';
import { type FlowDefinition, sentInstance } from './flow.ts';
import { migrationGuard, readMove } from './migration.ts';

/**
 * live_migration, which no conductor asks for after a node's refusal of the check before it. One that does gets the server as it is: its migration has failed,
 * and its place here is its own again.
 */
export const liveMigration: FlowDefinition = {
  planVersion: 1,
  read: (args) => (args.migration == null ? readServer(args) : readMove(args)),
  plan: (flow) =>
    bracketed(
      flow,
      [
        ...(flow.request.migration === undefined ? [] : [migrationGuard(flow, { goesBack: true })]),
        {
          name: 'refuse',
          run: () =>
            Promise.reject(
              novaError('MigrationPreCheckError', {
                reason: 'a node of this kind moves no running server; migrate it cold',
              }),
            ),
        },
      ],
      { failure: { fault: true, vmState: () => sentInstance(flow).vm_state ?? undefined } },
    ),
};
