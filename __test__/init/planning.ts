/** Plans over apps that are given as texts. */
import { type Plan, planFor } from '../../ts/init/plan';

/** The supported lines of the SDK, as the command gives them. */
export const SDK_LINES = [4, 5];

/** The files of an app, by their paths. */
export type Files = Record<string, string>;

/** The plan for an app. */
export function planOf(files: Files): Plan {
  const app = {
    read: (path: string) => files[path],
    isFolder: (path: string) => Object.keys(files).some((one) => one.startsWith(`${path}/`)),
  };
  return planFor(app, '0.1.0', SDK_LINES);
}

/** The files that a plan writes, by their paths. */
export function written(plan: Plan): Files {
  return Object.fromEntries(plan.changes.map(({ path, after }) => [path, after]));
}

/** The app after its plan, as its package manager would leave it. */
export function applied(files: Files): Files {
  const plan = planOf(files);
  const after = { ...files, ...written(plan) };
  const manifest = JSON.parse(after['package.json'] as string);
  const names = [...plan.packages, ...plan.devPackages].map((one) => one.replace(/(?!^)@.*/, ''));
  for (const name of names) manifest.dependencies = { ...manifest.dependencies, [name]: '*' };
  return { ...after, 'package.json': JSON.stringify(manifest) };
}

/** A text with some of its parts replaced; each part is there exactly once. */
export function replaced(text: string | undefined, ...parts: [string, string][]): string {
  let result = text as string;
  for (const [from, to] of parts) {
    expect(result.split(from)).toHaveLength(2);
    result = result.replace(from, () => to);
  }
  return result;
}
