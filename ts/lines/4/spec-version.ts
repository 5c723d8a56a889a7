/** The version of the event contract that SDK 4.8.9 writes into each run. */
export const SPEC_VERSION = 3;
