/** Compiles the workflows of an app for tests, with the SDK's own builder. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { WorkflowTestOptions } from '../../vitest';
import { type SdkPackages, sdkPackages } from './sdk-packages';

/** Where the workflows are, and where their bundles go; absolute paths. */
export interface BuildPlaces {
  cwd: string;
  outDir: string;
}

/** The format in which a test runner loads the bundles. */
export type Format = 'esm' | 'cjs';

/** How the bundles are made. */
export interface BuildKind {
  format: Format;
  /**
   * Whether the bundle of steps holds the files of the app that the steps import. If not, the test
   * runner loads those files, and can mock them.
   */
  selfContained: boolean;
}

/** The bundles of a folder, by what they hold. */
export function bundlesIn(outDir: string, format: Format): { workflows: string; steps: string } {
  const ending = format === 'esm' ? 'mjs' : 'cjs';
  return {
    workflows: join(outDir, `workflows.${ending}`),
    steps: join(outDir, `steps.${ending}`),
  };
}

/** The places for options, which are relative to the root of a project. */
export function placesOf(
  { cwd, rootDir, outDir }: WorkflowTestOptions,
  root: string,
  folder: string,
): BuildPlaces {
  const from = resolve(root, cwd ?? '.');
  return {
    cwd: from,
    outDir: outDir ? resolve(from, outDir) : join(resolve(from, rootDir ?? '.'), folder),
  };
}

/** A file that configures a tool. */
const CONFIGURATION = /\.config\.[cm]?[jt]s$/;

/** Compiles everything that has a directive into two bundles. */
export async function build({ cwd, outDir }: BuildPlaces, kind: BuildKind): Promise<void> {
  const packages = await sdkPackages(cwd);
  await mkdir(outDir, { recursive: true });
  await writeFile(join(outDir, '.gitignore'), '*\n');
  await new (builderOf(packages))(cwd, outDir, kind).build();
  if (kind.format === 'cjs') await toCommonJs(packages, bundlesIn(outDir, 'cjs').workflows);
}

function builderOf({ builders }: SdkPackages) {
  return class TestBuilder extends builders.BaseBuilder {
    readonly #outDir: string;
    readonly #kind: BuildKind;

    constructor(workingDir: string, outDir: string, kind: BuildKind) {
      const config = builders.createBaseBuilderConfig({ workingDir, dirs: ['.'] });
      super({ ...config, buildTarget: 'standalone' });
      this.#outDir = outDir;
      this.#kind = kind;
    }

    /** The files of the app: the SDK follows their imports, from a configuration to its own compiler. */
    protected override async getInputFiles(): Promise<string[]> {
      return (await super.getInputFiles()).filter((file) => !CONFIGURATION.test(file));
    }

    override async build(): Promise<void> {
      const inputFiles = await this.getInputFiles();
      const tsconfigPath = await this.findTsConfigPath();
      const { format, selfContained } = this.#kind;
      const bundles = bundlesIn(this.#outDir, format);
      const common = { inputFiles, tsconfigPath, format };
      await this.createStepsBundle({
        ...common,
        outfile: bundles.steps,
        externalizeNonSteps: true,
        bundleTransitiveLocalStepDependencies: selfContained,
        rewriteTsExtensions: selfContained,
      });
      await this.createWorkflowsBundle({
        ...common,
        outfile: bundles.workflows,
        bundleFinalOutput: false,
      });
    }
  };
}

/** The SDK writes its bundle of workflows as an ES module. */
async function toCommonJs({ esbuild }: SdkPackages, file: string): Promise<void> {
  const { code } = await esbuild.transform(await readFile(file, 'utf8'), { format: 'cjs' });
  await writeFile(file, code);
}
