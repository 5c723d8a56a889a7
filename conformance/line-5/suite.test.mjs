// The suite of line 5 on the newest SDK of that line: its own cases, assertions and time limits; its
// workflows are compiled by the installed builder.

import { createTestSuite } from '@workflow/world-testing';
import { afterAll, beforeEach, describe } from 'vitest';
import './redirect.mjs';
import { removeData, useBuilderOf, useFreshData, WORLDS } from '../environment.mjs';

// The suite counts the requests to the server's route.
process.env.WORKFLOW_HOOKLINE_DELIVERY = 'http';
await useBuilderOf(import.meta.url, ['addition', 'hooks', 'null-byte', 'retriable-and-fatal']);
beforeEach(useFreshData);
afterAll(removeData);

describe.each(WORLDS)('world %s passes the suite', (world) => createTestSuite(world));
