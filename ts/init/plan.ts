/** What has to change in an app so that its workflows run on Hookline. */

import { correctWorld, ignoreFiles } from './dotfiles';
import { type App, type ByHand, type Change, Draft, type Manifest } from './draft';
import { astro } from './frameworks/astro';
import { nest } from './frameworks/nest';
import { next } from './frameworks/next';
import { nitro, serverOnNitro } from './frameworks/nitro';
import { node } from './frameworks/node';
import { nuxt } from './frameworks/nuxt';
import { reactRouter } from './frameworks/react-router';
import { sveltekit } from './frameworks/sveltekit';
import { vite } from './frameworks/vite';

/** There is no app in the folder that could be set up; the message says why. */
export class NoAppError extends Error {
  override name = 'NoAppError';
}

/** A framework that `init` knows. */
export interface Framework {
  name: string;
  /** The packages by which it is recognised. */
  packages: string[];
  /** What else it needs to be the one. */
  isOne?(draft: Draft): boolean;
  /** Makes the changes; returns what Git should ignore. */
  plan(draft: Draft): string[];
}

/** The first one that an app has is the app's: some of them build on those below. */
const FRAMEWORKS: Framework[] = [
  { name: 'Next.js', packages: ['next'], plan: next },
  { name: 'Nuxt', packages: ['nuxt'], plan: nuxt },
  { name: 'SvelteKit', packages: ['@sveltejs/kit'], plan: sveltekit },
  { name: 'Astro', packages: ['astro'], plan: astro },
  { name: 'NestJS', packages: ['@nestjs/core'], plan: nest },
  { name: 'React Router', packages: ['@react-router/dev'], plan: reactRouter },
  {
    name: 'TanStack Start',
    packages: ['@tanstack/react-start', '@tanstack/solid-start'],
    plan: vite,
  },
  {
    name: 'Vite',
    packages: ['vite'],
    // Servers may have Vite for their tests only.
    isOne: (draft) =>
      draft.findModule('vite.config') !== undefined || draft.read('index.html') !== undefined,
    plan: vite,
  },
  { name: 'Hono', packages: ['hono'], plan: serverOnNitro },
  { name: 'Express', packages: ['express'], plan: serverOnNitro },
  { name: 'Fastify', packages: ['fastify'], plan: serverOnNitro },
  { name: 'Nitro', packages: ['nitro', 'nitropack'], plan: nitro },
];

/** Frameworks that build on those above, and that the Workflow SDK does not know. */
const UNKNOWN = [
  ...['@remix-run/dev', '@angular/core', '@builder.io/qwik-city', '@solidjs/start', 'waku'],
  ...['vike', '@analogjs/platform', 'electron'],
];

const PLAIN: Framework = { name: 'Node.js', packages: [], plan: node };

/** The plan for an app. */
export interface Plan {
  framework: string;
  changes: Change[];
  byHand: ByHand[];
  /** What to install for production, as a package manager takes it. */
  packages: string[];
  devPackages: string[];
  /** What else the user should know. */
  notes: string[];
}

/**
 * Makes the plan; `version` is that of this package, `lines` are the supported major versions of the
 * SDK, the first of which an app without the SDK gets. It reads from `app` and writes nothing.
 *
 * @throws NoAppError when there is no app to set up.
 */
export function planFor(app: App, version: string, lines: readonly number[]): Plan {
  const draft = new Draft(manifestOf(app), app);
  const framework = frameworkOf(draft);
  if (framework === PLAIN && isWorkspace(draft)) {
    throw new NoAppError('This folder holds a workspace, and no app of its own');
  }
  const sdk = draft.majorOf('workflow');
  if (sdk !== undefined && !lines.includes(sdk)) {
    const supported = lines.join(' and ');
    draft.notes.push(
      `workflow ${sdk} is in package.json, and Hookline works with ${supported}: workflow@${lines[0]}.`,
    );
  }
  draft.needs('hookline', version);
  draft.needs('workflow', String(lines[0]));
  const ignored = framework.plan(draft);
  ignoreFiles(draft, ['.workflow-data', ...ignored]);
  correctWorld(draft);
  return {
    framework: framework.name,
    changes: draft.changes(),
    byHand: draft.byHand,
    packages: [...draft.packages.values()],
    devPackages: [...draft.devPackages.values()],
    notes: draft.notes,
  };
}

function frameworkOf(draft: Draft): Framework {
  const has = (names: string[]) => names.some((name) => draft.has(name));
  if (has(UNKNOWN)) return PLAIN;
  return (
    FRAMEWORKS.find(({ packages, isOne }) => has(packages) && (isOne?.(draft) ?? true)) ?? PLAIN
  );
}

function manifestOf(app: App): Manifest {
  const text = app.read('package.json');
  if (text === undefined) throw new NoAppError('There is no package.json');
  try {
    const manifest = JSON.parse(text);
    if (typeof manifest === 'object' && manifest !== null) return manifest;
  } catch {
    // The same as any other text that is no object.
  }
  throw new NoAppError('package.json is no JSON object');
}

function isWorkspace(draft: Draft): boolean {
  return draft.manifest.workspaces !== undefined || draft.find('pnpm-workspace.yaml') !== undefined;
}
