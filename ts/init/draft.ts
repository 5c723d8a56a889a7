/** The changes to an app, as they come together; nothing is written here. */
import { Code, TooUnusual } from './code';

/** The folder of an app, as far as a plan reads it. Paths are relative, with forward slashes. */
export interface App {
  /** The text of a file; `undefined` when there is none. */
  read(path: string): string | undefined;
  isFolder(path: string): boolean;
}

/** A file to write. */
export interface Change {
  path: string;
  /** `undefined` for a new file. */
  before: string | undefined;
  after: string;
}

/** What a person has to write, because the file cannot be edited safely. */
export interface ByHand {
  path: string;
  /** Why `init` left it alone. */
  why: string;
  /** What to write. */
  code: string;
}

/** The fields of a `package.json` that a plan reads. */
export interface Manifest {
  type?: string;
  main?: string;
  workspaces?: unknown;
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

/** The state of the app after the changes so far. */
export class Draft {
  readonly byHand: ByHand[] = [];
  readonly notes: string[] = [];
  /** What to install, as the package manager takes it, by the package's name. */
  readonly packages = new Map<string, string>();
  readonly devPackages = new Map<string, string>();
  private readonly texts = new Map<string, string>();

  constructor(
    readonly manifest: Manifest,
    private readonly app: App,
  ) {}

  read(path: string): string | undefined {
    return this.texts.get(path) ?? this.app.read(path);
  }

  isFolder(path: string): boolean {
    return this.app.isFolder(path);
  }

  /** The first of these paths that is a file. */
  find(...paths: string[]): string | undefined {
    return paths.find((path) => this.app.read(path) !== undefined);
  }

  /** The file of this name with one of the extensions of a module. */
  findModule(...names: string[]): string | undefined {
    const extensions = ['ts', 'mts', 'js', 'mjs', 'cts', 'cjs'];
    return this.find(...names.flatMap((name) => extensions.map((end) => `${name}.${end}`)));
  }

  /** Whether the app is written in TypeScript. */
  isTypeScript(): boolean {
    return this.find('tsconfig.json') !== undefined;
  }

  /** Whether the app names a package among its dependencies. */
  has(name: string): boolean {
    return this.versionOf(name) !== undefined;
  }

  /** The range of a package's versions in the manifest. */
  versionOf(name: string): string | undefined {
    const { dependencies, devDependencies } = this.manifest;
    return { ...dependencies, ...devDependencies }[name];
  }

  /** The first number of a package's version in the manifest. */
  majorOf(name: string): number | undefined {
    const major = /^\D*(\d+)/.exec(this.versionOf(name) ?? '')?.[1];
    return major === undefined ? undefined : Number(major);
  }

  /** Wants a package installed, unless the app has it. */
  needs(name: string, version = ''): void {
    if (!this.has(name)) this.packages.set(name, version ? `${name}@${version}` : name);
  }

  /** Wants a package for development, unless the app has it. */
  needsForBuild(name: string, version = ''): void {
    if (!this.has(name)) this.devPackages.set(name, version ? `${name}@${version}` : name);
  }

  /** Writes a text file. */
  write(path: string, text: string): void {
    this.texts.set(path, text);
  }

  /**
   * Edits a source file as a whole: when it is too unusual, no edit of it remains, and `code` is
   * left for a person to write.
   */
  edit(path: string, edit: (code: Code) => void, code: string): void {
    try {
      const file = new Code(path, this.read(path) ?? '');
      edit(file);
      this.write(path, file.finish());
    } catch (error) {
      if (!(error instanceof TooUnusual)) throw error;
      this.byHand.push({ path, why: error.message, code });
    }
  }

  /** Edits a source file, or makes it with this text. */
  editOrCreate(path: string, text: string, edit: (code: Code) => void, code = text): void {
    if (this.app.read(path) === undefined) this.write(path, text);
    else this.edit(path, edit, code);
  }

  /** The files that differ from before, sorted by path. */
  changes(): Change[] {
    return [...this.texts]
      .map(([path, after]) => ({ path, before: this.app.read(path), after }))
      .filter(({ before, after }) => before !== after)
      .sort((a, b) => (a.path < b.path ? -1 : 1));
  }
}
