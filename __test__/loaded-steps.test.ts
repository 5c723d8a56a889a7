/** Which steps a process can run: those that the SDK has loaded there. */
import { isLoadedHere } from '../ts/lines/4/queues';

const STEPS = Symbol.for('@workflow/core//registeredSteps');
const globals = globalThis as { [STEPS]?: Map<string, unknown> };

function load(...ids: string[]): void {
  globals[STEPS] = new Map(ids.map((id) => [id, () => undefined]));
}

afterEach(() => {
  delete globals[STEPS];
});

test('a step is loaded here once its module has registered it', () => {
  load();
  expect(isLoadedHere('__wkf_step_step//./workflows/a//pay')).toBe(false);
  load('step//./workflows/a//pay');
  expect(isLoadedHere('__wkf_step_step//./workflows/a//pay')).toBe(true);
  expect(isLoadedHere('__shop_wkf_step_step//./workflows/a//pay')).toBe(true);
  expect(isLoadedHere('__wkf_step_step//./workflows/b//pay')).toBe(false);
});

test('a step is found under the other folders of its workflows, as the SDK finds it', () => {
  load('step//./src/workflows/a//pay', 'step//./node_modules/workflow//__builtin_response_json');
  expect(isLoadedHere('__wkf_step_step//./workflows/a//pay')).toBe(true);
  expect(isLoadedHere('__wkf_step_step//./example/workflows/a//pay')).toBe(true);
  expect(isLoadedHere('__wkf_step___builtin_response_json')).toBe(true);
  expect(isLoadedHere('__wkf_step___builtin_response_text')).toBe(false);
});

test('handlers that are not the SDK’s, and flows, take every message', () => {
  load();
  expect(isLoadedHere('__wkf_step_x')).toBe(true);
  expect(isLoadedHere('__wkf_workflow_workflow//./workflows/a//b')).toBe(true);
  delete globals[STEPS];
  expect(isLoadedHere('__wkf_step_step//./workflows/a//pay')).toBe(true);
});
