// The suite's cases for real, on the installed SDK: their own assertions, their own server, their
// own time limits; only the workflows are compiled by the installed builder.

import { createTestSuite } from '@workflow/world-testing';
import { afterAll, beforeEach, describe } from 'vitest';
import { removeData, useFreshData, useInstalledBuilder, WORLDS } from './environment.mjs';

await useInstalledBuilder();
beforeEach(useFreshData);
afterAll(removeData);

describe.each(WORLDS)('world %s passes the suite', (world) => createTestSuite(world));
