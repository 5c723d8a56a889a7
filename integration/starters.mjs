// What the starters of frameworks make. Those that load their template from GitHub instead of npm
// are written out here.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const NITRO_SERVER = ['.output/server/index.mjs'];
const NITRO_ROUTE = (story) => `import { defineHandler } from 'nitro';
import { type Act, story } from '${story}';

export default defineHandler(async (event) => story((await event.req.json()) as Act));
`;
const IMPORT_STORY = (story) => `import { story } from '${story}';\n`;

/** Adds a route before the first one of a server, and the import of its story. */
const beforeFirstRoute = (route) => (text) =>
  text.replace(/^(\w+\.get\('\/')/m, `${route}\n\n$1`).replace(/^/, IMPORT_STORY('./story'));

/** A manifest with these parts, as a starter would write it. */
const manifest = (parts) =>
  `${JSON.stringify({ name: 'app', private: true, type: 'module', ...parts }, undefined, 2)}\n`;

/**
 * Starters: the command, or the files that it makes; the folder for the workflow and the story; the
 * routes that are added, as texts or as edits; and how the built server is started.
 */
export const STARTERS = [
  {
    name: 'create-next-app',
    isCheap: true,
    command: ['create-next-app@latest', 'app', '--ts', '--yes', '--skip-install', '--disable-git'],
    routes: {
      'app/api/story/route.ts': `import { story } from '../../../story';

export async function POST(request: Request) {
  return Response.json(await story(await request.json()));
}
`,
    },
    env: { NEXT_FONT_GOOGLE_MOCKED_RESPONSES: join(here, 'google-fonts.cjs') },
    start: ['node_modules/next/dist/bin/next', 'start'],
  },
  {
    name: 'sv',
    command: [
      'sv@latest',
      'create',
      'app',
      '--template',
      'minimal',
      '--types',
      'ts',
      '--no-add-ons',
      '--no-install',
    ],
    sources: 'src',
    routes: {
      'src/routes/api/story/+server.ts': `import { story } from '../../../story';

export async function POST({ request }) {
  return Response.json(await story(await request.json()));
}
`,
    },
    start: ['build'],
  },
  {
    name: 'create-vite',
    command: ['create-vite@latest', 'app', '--template', 'react-ts', '--no-interactive'],
    routes: { 'api/story.post.ts': NITRO_ROUTE('../story') },
    start: NITRO_SERVER,
  },
  {
    name: 'tanstack',
    command: [
      '@tanstack/cli@latest',
      'create',
      'app',
      '--no-install',
      '--no-git',
      '--no-intent',
      '-y',
    ],
    sources: 'src',
    routes: {
      'src/routes/api/story.ts': `import { createFileRoute } from '@tanstack/react-router';
import { story } from '../../story';

export const Route = createFileRoute('/api/story')({
  server: {
    handlers: {
      POST: async ({ request }) => Response.json(await story(await request.json())),
    },
  },
});
`,
    },
    start: NITRO_SERVER,
  },
  {
    name: 'nest',
    command: ['@nestjs/cli@latest', 'new', 'app', '--skip-install', '--skip-git', '-p', 'npm'],
    sources: 'src',
    /** What Node needs at the end of a relative import. */
    extension: '.js',
    routes: {
      'src/app.controller.ts': `import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { type Act, story } from './story.js';

@Controller()
export class AppController {
  @Post('/api/story')
  @HttpCode(200)
  tell(@Body() act: Act) {
    return story(act);
  }
}
`,
    },
    start: ['dist/main.js'],
  },
  {
    name: 'create-hono',
    isCheap: true,
    files: {
      'package.json': manifest({
        scripts: { dev: 'tsx watch src/index.ts', build: 'tsc', start: 'node dist/index.js' },
        dependencies: { '@hono/node-server': '^1.19.6', hono: '^4.10.6' },
        devDependencies: { '@types/node': '^20.11.17', tsx: '^4.7.1', typescript: '^5.8.3' },
      }),
      'src/index.ts': `import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const app = new Hono()

app.get('/', (c) => {
  return c.text('Hello Hono!')
})

serve({
  fetch: app.fetch,
  port: 3000
}, (info) => {
  console.log(\`Server is running on http://localhost:\${info.port}\`)
})
`,
    },
    sources: 'src',
    routes: {
      'src/index.ts': beforeFirstRoute(
        `app.post('/api/story', async (c) => c.json(await story(await c.req.json())))`,
      ),
    },
    start: NITRO_SERVER,
  },
  {
    name: 'express',
    files: {
      'package.json': manifest({ main: 'index.js', dependencies: { express: '^5.1.0' } }),
      'index.js': `import express from 'express'

const app = express()
const port = 3000

app.get('/', (req, res) => {
  res.send('Hello World!')
})

app.listen(port, () => {
  console.log(\`Example app listening on port \${port}\`)
})
`,
    },
    routes: {
      'index.js': beforeFirstRoute(
        `app.post('/api/story', express.json(), async (req, res) => res.json(await story(req.body)))`,
      ),
    },
    start: NITRO_SERVER,
  },
  {
    name: 'fastify',
    files: {
      'package.json': manifest({ main: 'server.js', dependencies: { fastify: '^5.6.0' } }),
      'server.js': `import Fastify from 'fastify'

const fastify = Fastify({
  logger: true
})

// Declare a route
fastify.get('/', async function handler (request, reply) {
  return { hello: 'world' }
})

// Run the server!
try {
  await fastify.listen({ port: 3000 })
} catch (err) {
  fastify.log.error(err)
  process.exit(1)
}
`,
    },
    routes: {
      'server.js': beforeFirstRoute(
        `fastify.post('/api/story', async (request) => story(request.body))`,
      ),
    },
    start: NITRO_SERVER,
  },
  {
    name: 'nitro',
    files: {
      'package.json': manifest({
        scripts: {
          build: 'nitro build',
          dev: 'nitro dev',
          preview: 'node .output/server/index.mjs',
        },
        devDependencies: { nitro: '3.0.260610-beta' },
      }),
      'nitro.config.ts': `import { defineConfig } from "nitro";

export default defineConfig({
  serverDir: "./server",
});
`,
      'server/routes/index.ts': `import { defineHandler } from "nitro";

export default defineHandler(() => "Nitro");
`,
    },
    routes: { 'server/routes/api/story.post.ts': NITRO_ROUTE('../../../story') },
    start: NITRO_SERVER,
  },
  {
    name: 'nuxi',
    files: {
      'package.json': manifest({
        scripts: { build: 'nuxt build', dev: 'nuxt dev', postinstall: 'nuxt prepare' },
        dependencies: { nuxt: '^4.2.1', vue: '^3.5.24', 'vue-router': '^4.6.3' },
      }),
      'nuxt.config.ts': `// https://nuxt.com/docs/api/configuration/nuxt-config
export default defineNuxtConfig({
  compatibilityDate: '2025-07-15',
  devtools: { enabled: true }
})
`,
      'app/app.vue': '<template>\n  <div>Nuxt</div>\n</template>\n',
    },
    sources: 'server',
    routes: {
      'server/api/story.post.ts': `import { story } from '../story';

export default defineEventHandler(async (event) => story(await readBody(event)));
`,
    },
    start: NITRO_SERVER,
  },
  {
    name: 'create-astro',
    files: {
      'package.json': manifest({
        scripts: { dev: 'astro dev', build: 'astro build', preview: 'astro preview' },
        dependencies: { astro: '^7.3.5' },
      }),
      'astro.config.mjs': `// @ts-check
import { defineConfig } from 'astro/config';

// https://astro.build/config
export default defineConfig({});
`,
      'tsconfig.json': '{ "extends": "astro/tsconfigs/strict" }\n',
      'src/pages/index.astro': '<h1>Astro</h1>\n',
    },
    sources: 'src',
    routes: {
      'src/pages/api/story.ts': `import type { APIRoute } from 'astro';
import { story } from '../../story';

export const prerender = false;

export const POST: APIRoute = async ({ request }) =>
  Response.json(await story(await request.json()));
`,
    },
    start: ['start.mjs'],
  },
  ...['8.4.0', '7.18.4'].map((version) => ({
    name: `create-react-router@${version[0]}`,
    files: {
      'package.json': manifest({
        scripts: {
          build: 'react-router build',
          dev: 'react-router dev',
          start: 'react-router-serve ./build/server/index.js',
        },
        dependencies: {
          '@react-router/node': version,
          '@react-router/serve': version,
          isbot: '^5.1.31',
          react: '^19.2.4',
          'react-dom': '^19.2.4',
          'react-router': version,
        },
        devDependencies: { '@react-router/dev': version, typescript: '^5.9.2', vite: '^8.0.3' },
      }),
      'vite.config.ts': `import { reactRouter } from "@react-router/dev/vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [reactRouter()],
});
`,
      'react-router.config.ts': `import type { Config } from "@react-router/dev/config";

export default {
  // Config options...
  // Server-side render by default, to enable SPA mode set this to \`false\`
  ssr: true,
} satisfies Config;
`,
      'app/root.tsx': `import { Outlet, Scripts } from "react-router";

export default function App() {
  return (
    <html lang="en">
      <body>
        <Outlet />
        <Scripts />
      </body>
    </html>
  );
}
`,
      'app/routes.ts': `import { index, type RouteConfig } from "@react-router/dev/routes";

export default [index("routes/home.tsx")] satisfies RouteConfig;
`,
      'app/routes/home.tsx': `export default function Home() {
  return <h1>React Router</h1>;
}
`,
    },
    routes: { 'server/routes/api/story.post.ts': NITRO_ROUTE('../../../story') },
    start: NITRO_SERVER,
  })),
  {
    name: 'npm-init',
    files: {
      'package.json': `{
  "name": "app",
  "version": "1.0.0",
  "main": "index.js",
  "scripts": {
    "test": "echo \\"Error: no test specified\\" && exit 1"
  },
  "type": "commonjs"
}
`,
    },
    routes: {
      // Node compiles nothing, so the workflow is known by what `workflow build` has written.
      'story.mjs': `import { readFileSync } from 'node:fs';
import { getRun, resumeHook, start, waitForHook } from 'hookline';

const { workflows } = JSON.parse(readFileSync('.well-known/workflow/v1/manifest.json', 'utf8'));
const { approval } = workflows['workflows/approval.ts'];

export async function story({ act, invoice, runId }) {
  if (act === 'start') {
    const run = await start(approval, [invoice]);
    await waitForHook(\`invoice-\${invoice}\`, { timeout: 60_000 });
    return { runId: run.runId };
  }
  if (act === 'approve') {
    const hook = await resumeHook(\`invoice-\${invoice}\`, { approved: true });
    return { runId: hook.runId };
  }
  const run = getRun(runId);
  const status = await run.status;
  return { status, result: status === 'completed' ? await run.returnValue : undefined };
}
`,
      'server.mjs': (text) =>
        text
          .replace("} from 'hookline';\n", "$&import { story } from './story.mjs';\n")
          .replace(
            'const routes = {\n',
            "$&  '/api/story': async (request) => Response.json(await story(await request.json())),\n",
          ),
    },
    start: ['server.mjs'],
  },
];
