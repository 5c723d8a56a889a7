/** How `init` makes the program of a server export its app. */
import { type Files, planOf, written } from './planning';

const appOf = (server: string, text: string): Files => ({
  'package.json': `{ "type": "module", "dependencies": { "${server}": "*" } }`,
  'src/server.ts': text,
});
const after = (server: string, text: string) =>
  written(planOf(appOf(server, text)))['src/server.ts'];

test.each([
  ['a call', 'serve({ fetch: app.fetch }, (info) => console.log(info.port));\n'],
  ['a server that nobody uses', 'const server = serve(app);\n'],
  [
    'a function that is called once',
    'async function main() {\n  serve({ fetch: app.fetch, port: Number(process.env.PORT) });\n}\nmain();\n',
  ],
])('Hono: %s that listens is replaced', (_what, listening) => {
  const head = "import { Hono } from 'hono';\n\nconst app = new Hono().get('/', home);\n\n";
  const before = `import { serve } from '@hono/node-server';\n${head}${listening}`;
  expect(after('hono', before)).toBe(`${head}export default app;\n`);
});

test('an app that is exported by name is exported by default too', () => {
  const text = "import { Hono } from 'hono';\n\nexport const app = new Hono();\n";
  expect(after('hono', text)).toBe(`${text}\nexport default app;\n`);
});

test('an app that does not listen and exports itself stays', () => {
  const text = "import express from 'express';\n\nexport default express();\n";
  expect(after('express', text)).toBeUndefined();
});

const EXPRESS = "import express from 'express';\nconst app = express();\n";

test.each([
  [
    'opens a database first',
    `${EXPRESS}db.connect().then(() => app.listen(3000));\n`,
    'db.connect()',
  ],
  [
    'opens a database in the same function',
    `${EXPRESS}const start = async () => {\n  await connect();\n  app.listen(3000);\n};\nstart();\n`,
    'connect()',
  ],
  [
    'makes the HTTP server itself',
    `${EXPRESS}createServer(app).listen(3000);\n`,
    'makes the HTTP server itself',
  ],
  [
    'closes the server later',
    `${EXPRESS}const server = app.listen(3000);\nprocess.on('SIGTERM', () => server.close());\n`,
    'server, which listens, is used',
  ],
  ['listens in a condition', `${EXPRESS}if (main) app.listen(3000);\n`, 'listens in a IfStatement'],
  ['is CommonJS', "const app = require('express')();\napp.listen(3000);\n", 'CommonJS'],
  ['makes the app elsewhere', "import { app } from './app';\napp.listen(3000);\n", 'makes no app'],
])('Express: a program that %s is left to a person', (_what, text, why) => {
  const plan = planOf(appOf('express', text));
  expect(written(plan)).not.toHaveProperty('src/server.ts');
  expect(plan.byHand).toMatchObject([
    {
      path: 'src/server.ts',
      why: expect.stringContaining(why),
      code: expect.stringContaining('export default app;'),
    },
  ]);
});

test('a server that has Vite for its tests is no app of Vite', () => {
  const files = appOf('hono', "import { Hono } from 'hono';\nexport default new Hono();\n");
  const manifest = files['package.json']?.replace('"hono"', '"vite": "*", "hono"') ?? '';
  expect(planOf({ ...files, 'package.json': manifest }).framework).toBe('Hono');
});

test('a framework that the SDK does not know is left to a person', () => {
  const files = {
    'package.json': '{ "devDependencies": { "@remix-run/dev": "2", "vite": "6" } }',
    'vite.config.ts': 'export default {};\n',
  };
  const plan = planOf(files);
  expect(Object.keys(written(plan))).toEqual(['.gitignore']);
  expect(plan.byHand).toHaveLength(1);
});
