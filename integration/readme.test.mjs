// A new user in an empty folder, with nothing but the README. The tarballs stand in for the registry.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, newFolder, program, Server } from './apps.mjs';
import { keeps, section, writeFiles } from './readme.mjs';

const { hookline, ...platforms } = JSON.parse(process.env.HOOKLINE_PACKAGES);
const tarballs = [hookline, ...Object.values(platforms)].join(' ');
const SERVES = /^(?:npx nitro dev|npm run dev|node \.output\/server\/index\.mjs|npm start)$/;
/** Before these the README says to stop the server. */
const BUILDS = /^(?:npx nitro build|npm run build)$/;

/** A build of create-next-app's layout must not need the network. */
const FONTS = {
  NEXT_FONT_GOOGLE_MOCKED_RESPONSES: join(
    dirname(fileURLToPath(import.meta.url)),
    'google-fonts.cjs',
  ),
};
/** The configuration in a `next.config.ts`. */
const NEXT_CONFIG = /const nextConfig: NextConfig = \{.*?^\};/ms;

/** A user in a folder, who types the commands of the README. */
class User {
  #port;
  #server;

  constructor(folder) {
    this.folder = folder;
  }

  /** Follows the blocks of a section in order. */
  async follow(blocks) {
    for (const block of blocks) {
      if (block.file === 'next.config.ts') await this.#wrap(block);
      else if (block.file) await writeFiles(this.folder, [block]);
      else for (const command of block.commands) await this.#type(command);
    }
  }

  /** Puts the wrappers around the configuration that is there, as the README says. */
  async #wrap({ file, content }) {
    const [own] = NEXT_CONFIG.exec(await readFile(join(this.folder, file), 'utf8')) ?? [];
    assert.ok(own, 'create-next-app makes another next.config.ts now');
    assert.match(content, NEXT_CONFIG);
    const wrapped = content.replace(NEXT_CONFIG, () => own);
    await writeFiles(this.folder, [{ file, content: wrapped }]);
  }

  async #type({ command, promised }) {
    if (SERVES.test(command)) return this.#serve(command);
    if (BUILDS.test(command)) await this.leave();
    const typed = command
      .replace(/^(npm install .*)\bhookline\b/, `$1${tarballs}`)
      .replaceAll('localhost:3000', `localhost:${this.#port}`);
    const args = ['-c', typed.replace(/^curl/, 'curl -sS')];
    const run = () => program(this.folder, 'bash', args, undefined, FONTS);
    if (!promised) return run();
    const kept = async () => keeps(promised, await run());
    // Only commands that change nothing may be typed twice.
    if (command.startsWith('npx hookline'))
      await this.#server.until(`${promised} of ${command}`, kept);
    else {
      const output = await run();
      assert.ok(keeps(promised, output), `${command}\n${output}\nis not\n${promised}`);
    }
  }

  async #serve(command) {
    this.#port = await freePort();
    const options = { port: this.#port, node: 'bash', env: FONTS };
    this.#server = await Server.start(this.folder, ['-c', command], options);
  }

  leave() {
    return this.#server?.kill();
  }
}

/** Says how long a user needs, whom reading and typing cost no time. */
async function timed(what, work) {
  const start = performance.now();
  await work();
  console.log(`${what}: ${Math.round((performance.now() - start) / 1000)} s`);
}

describe('the README', () => {
  const users = [];
  const newUser = (folder) => {
    users.push(new User(folder));
    return users.at(-1);
  };
  after(() => Promise.all(users.map((user) => user.leave())));

  describe('in an empty folder', () => {
    let user;
    before(async () => {
      user = newUser(await newFolder('readme'));
    });

    test('"Use it" works', async () => {
      const blocks = await section('Use it');
      assert.deepEqual(blocks.map(({ file }) => file ?? 'commands').slice(0, 4), [
        'commands',
        'workflows/approval.ts',
        'resume.ts',
        'server.ts',
      ]);
      await timed('"Use it"', () => user.follow(blocks));
    });

    test('"Test it" works, after that', async () => {
      const blocks = await section('Test it');
      await timed('"Test it"', () => user.follow(blocks));
    });
  });

  test('"Next.js in five steps" works in a new app', async () => {
    const folder = await newFolder('readme-next');
    const blocks = await section('Next.js in five steps');
    const asAbove = (await section('Use it')).filter(({ file }) =>
      ['workflows/approval.ts', 'resume.ts'].includes(file),
    );
    await timed('"Next.js in five steps"', async () => {
      await program(folder, 'npx', ['--yes', 'create-next-app@latest', 'my-app', '--yes']);
      const user = newUser(join(folder, 'my-app'));
      await writeFiles(user.folder, asAbove);
      await user.follow(blocks);
    });
  });
});
