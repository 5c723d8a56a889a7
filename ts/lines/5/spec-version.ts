/** The version of the event contract that SDK 5.0.0-beta.55 writes, and that later versions accept. */
export const SPEC_VERSION = 7;
