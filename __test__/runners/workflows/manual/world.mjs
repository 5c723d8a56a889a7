import { setupWorkflowTests, teardownWorkflowTests } from 'hookline/vitest';
import { afterAll, beforeAll } from 'vitest';

beforeAll(() => setupWorkflowTests());
afterAll(() => teardownWorkflowTests());
