/** The version of this package: written in by `scripts/build-js.mjs`, because a file that is bundled elsewhere finds no package.json. */
declare const HOOKLINE_VERSION: string;

export const VERSION: string = HOOKLINE_VERSION;
