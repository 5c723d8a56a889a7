/** Jest's transformer: the SDK's transformation, then the one that the project has. */
import { createHash } from 'node:crypto';
import { createTransform } from './transform';

interface Options {
  cwd: string;
  /** The file of the project's own transformer, and its options. */
  inner: string;
  innerOptions: Record<string, unknown>;
}

/** What Jest tells a transformer, as far as it is used. */
interface TransformOptions {
  transformerConfig: unknown;
  configString: string;
}

/** A transformer of Jest, as far as it is used. */
interface Transformer {
  canInstrument?: boolean;
  process?(source: string, path: string, options: TransformOptions): { code: string };
  processAsync?(source: string, path: string, options: TransformOptions): Promise<{ code: string }>;
  getCacheKey?(source: string, path: string, options: TransformOptions): string;
}

interface Factory {
  createTransformer?(options: unknown): Transformer | Promise<Transformer>;
}

/** Makes the transformer for the options that `hookline()` of `hookline/jest` has set. */
async function createTransformer({ cwd, inner, innerOptions }: Options) {
  const transform = await createTransform(cwd);
  const project = await transformerAt(inner, innerOptions);
  const optionsOf = (options: TransformOptions) => ({
    ...options,
    transformerConfig: innerOptions,
  });
  const client = (source: string, path: string): string => {
    const transformed = transform(source, path);
    if (!transformed) return source;
    const map = Buffer.from(transformed.map ?? '{}').toString('base64');
    return `${transformed.code}\n//# sourceMappingURL=data:application/json;base64,${map}`;
  };
  const { process, processAsync } = project;
  return {
    canInstrument: project.canInstrument,
    process:
      process &&
      ((source: string, path: string, options: TransformOptions) =>
        process.call(project, client(source, path), path, optionsOf(options))),
    processAsync:
      processAsync &&
      ((source: string, path: string, options: TransformOptions) =>
        processAsync.call(project, client(source, path), path, optionsOf(options))),
    getCacheKey(source: string, path: string, options: TransformOptions): string {
      const key = project.getCacheKey?.(source, path, optionsOf(options)) ?? source;
      return createHash('sha256').update(`${key}\0${path}\0${options.configString}`).digest('hex');
    },
  };
}

export default { createTransformer };

async function transformerAt(file: string, options: unknown): Promise<Transformer> {
  const module = require(file);
  const made: Transformer & Factory = module.default ?? module;
  return made.createTransformer ? made.createTransformer(options) : made;
}
