/**
 * What the SDK makes of a source file for code outside of workflows: a workflow function there only
 * has the id by which `start()` finds it.
 */
import { relative, sep } from 'node:path';
import { type SdkPackages, sdkPackages } from './sdk-packages';

/** A transformed file. */
export interface Transformed {
  code: string;
  map?: string;
}

/** Transforms a file that has something of the SDK; `undefined` for any other file. */
export type Transform = (source: string, file: string) => Transformed | undefined;

/** The transform for an app in a folder. `isLeftOut` says which files stay as they are. */
export async function createTransform(
  folder: string,
  isLeftOut: (file: string) => boolean = () => false,
): Promise<Transform> {
  const { builders, swc, swcPlugin, line } = await sdkPackages(folder);
  const { decorators, legacyDecorator, decoratorMetadata } =
    await builders.getDecoratorOptionsForDirectory(folder);
  return (source, file) => {
    const path = file.split(sep).join('/');
    if (isLeftOut(file) || builders.isGeneratedWorkflowFile(path)) return undefined;
    const patterns = builders.detectWorkflowPatterns(source);
    if (!patterns.hasDirective && isOfSdk(builders, path)) return undefined;
    if (!builders.shouldTransformFile(path, patterns)) return undefined;
    const { moduleSpecifier } = builders.resolveModuleSpecifier(file, folder);
    const isTypeScript = /\.[cm]?tsx?$/.test(path);
    const { code, map } = swc.transformSync(source, {
      // The id of a workflow contains this name, and the builder uses the same.
      filename: nameWithin(folder, file),
      swcrc: false,
      jsc: {
        parser: isTypeScript
          ? { syntax: 'typescript', tsx: path.endsWith('x'), decorators }
          : { syntax: 'ecmascript', jsx: path.endsWith('x'), decorators },
        target: 'es2022',
        experimental: { plugins: [[swcPlugin, { mode: line.hostMode, moduleSpecifier }]] },
        transform: { react: { runtime: 'preserve' }, legacyDecorator, decoratorMetadata },
      },
      sourceMaps: true,
      inlineSourcesContent: true,
    });
    return { code, map };
  };
}

/** Whether a file is of the SDK itself; the compiler of SDK 5.x finds that out by itself. */
function isOfSdk({ isWorkflowSdkFile }: Partial<SdkPackages['builders']>, path: string): boolean {
  return isWorkflowSdkFile?.(path) ?? false;
}

/** The path of a file from a folder, without the steps upwards, as the builder writes it. */
function nameWithin(folder: string, file: string): string {
  const parts = relative(folder, file).split(sep);
  return parts.filter((part) => part !== '..').join('/');
}
