import { buildWorkflowTests } from 'hookline/vitest';

export const setup = () => buildWorkflowTests();
