/** nova's scheduler prefers hosts whose last builds did not fail (BuildFailureWeigher): each host counts its own. */
import { describe, expect, it } from 'vitest';
import { usageFields } from '../../platform-adapter/openstack/node/node-record.ts';
import { readRecording } from '../support/nova-recording.ts';
import { buildArguments, createFlowScene, server } from '../support/openstack/flow-scene.ts';
import { settings, startScene } from './openstack-node/scene.ts';

describe('builds that failed on a node', () => {
  it.each([
    ['hardware', [false]],
    ['delete', []],
    ['none', [true]],
  ] as const)('are counted: %s', async (failure, expected) => {
    const ended: boolean[] = [];
    const one = createFlowScene({ buildEnded: (succeeded) => ended.push(succeeded) });
    try {
      if (failure === 'hardware')
        one.compute.failNext.set('build_and_run_instance', { code: 'hardware', message: 'no', retry: 'backoff' });
      if (failure === 'delete')
        one.compute.onSubmit = () => {
          if (one.nova.instance) one.nova.instance.task_state = 'deleting';
        };
      await one.cast('build_and_run_instance', buildArguments(one));
      await one.quiet();
      expect(ended).toEqual(expected);
      expect(one.compute.submitted[0]?.args.uuid).toBe(server);
    } finally {
      await one.close();
    }
  });

  it('are in the record of the node', () => {
    const status = startScene(readRecording('startup_first')).service.nodeStatus();
    const { stats } = usageFields({ settings, status, instances: [], spec: null, failedBuilds: 3 });
    expect(stats).toMatchObject({ failed_builds: '3' });
  });

  it('are told with the resources', async () => {
    const scene = startScene(readRecording('startup_first'), {}, {}, {}, { failedBuilds: () => 2 });
    const node = scene.start();
    await scene.clock.drive(node.serving, 60_000);
    await node.stop();
    const made = scene.nova.said.find(
      (each) => JSON.stringify(each).includes('"ComputeNode"') && JSON.stringify(each).includes('failed_builds'),
    );
    expect(JSON.stringify(made)).toContain('"failed_builds":"2"');
  });
});
