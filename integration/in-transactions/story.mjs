// One documented line in transactions of its library: LINE is the line, LIBRARY the library, URL the
// database. Prints what is there after a rollback, after a commit, and the state of an unknown token.

import { createWorld } from 'hookline';

const { LIBRARY, LINE, URL: url } = process.env;
const schema = `of_${LIBRARY.toLowerCase().replace(/\W/g, '_')}`;
const payload = { approved: true, amount: 1.5, items: [null, 'é"\n'], empty: {} };
const AsyncFunction = (async () => {}).constructor;
// The function is in the schema of this story.
const line = LINE.replace('hookline.', `${schema}.`);

const world = createWorld({ url: `${url}?schema=${schema}` });
const { run } = await world.events.create(null, {
  eventType: 'run_created',
  specVersion: 3,
  eventData: {
    deploymentId: 'dpl_hookline',
    workflowName: 'workflow//./a//a',
    input: new TextEncoder().encode('devl[[]]'),
  },
});
await world.events.create(run.runId, { eventType: 'run_started', specVersion: 3 });
await world.events.create(run.runId, {
  eventType: 'hook_created',
  specVersion: 3,
  correlationId: 'hook_1',
  eventData: { token: 'token' },
});

/** Each runs `work` in a transaction, with its object and perhaps more names that the line needs. */
const TRANSACTIONS = {
  pg: async () => {
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const query = (sql) => client.query(sql);
    return {
      query,
      end: () => client.end(),
      async transaction(work) {
        await query('BEGIN');
        try {
          await work(query, { client });
          await query('COMMIT');
        } catch (error) {
          await query('ROLLBACK');
          throw error;
        }
      },
    };
  },
  'postgres.js': async () => {
    const { default: postgres } = await import('postgres');
    const connection = postgres(url, { onnotice: () => undefined });
    return {
      query: async (text) => ({ rows: await connection.unsafe(text) }),
      end: () => connection.end(),
      transaction: (work) => connection.begin((sql) => work((text) => sql.unsafe(text), { sql })),
    };
  },
  Drizzle: async () => {
    const { default: pg } = await import('pg');
    const { drizzle } = await import('drizzle-orm/node-postgres');
    const pool = new pg.Pool({ connectionString: url });
    return onDrizzle(drizzle(pool), () => pool.end());
  },
  'Drizzle on postgres.js': async () => {
    const { default: postgres } = await import('postgres');
    const { drizzle } = await import('drizzle-orm/postgres-js');
    const connection = postgres(url, { onnotice: () => undefined });
    return onDrizzle(drizzle(connection), () => connection.end());
  },
  Prisma: async () => {
    const { PrismaClient } = await import('@prisma/client');
    const { PrismaPg } = await import('@prisma/adapter-pg');
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) });
    return {
      query: async (sql) => ({ rows: await prisma.$queryRawUnsafe(sql) }),
      end: () => prisma.$disconnect(),
      transaction: (work) =>
        prisma.$transaction((tx) => work((sql) => tx.$executeRawUnsafe(sql), { tx })),
    };
  },
  Knex: async () => {
    const { default: knex } = await import('knex');
    const connection = knex({ client: 'pg', connection: url });
    return {
      query: (sql) => connection.raw(sql),
      end: () => connection.destroy(),
      transaction: (work) => connection.transaction((trx) => work((sql) => trx.raw(sql), { trx })),
    };
  },
};

async function onDrizzle(db, end) {
  const { sql } = await import('drizzle-orm');
  return {
    query: async (text) => {
      const found = await db.execute(sql.raw(text));
      return { rows: found.rows ?? found };
    },
    end,
    transaction: (work) =>
      db.transaction((tx) => work((text) => tx.execute(sql.raw(text)), { tx, sql })),
  };
}

const { query, transaction, end } = await TRANSACTIONS[LIBRARY]();
await query(`CREATE TABLE ${schema}.orders (id integer)`);

/** Inserts an order, and then runs the documented line. */
async function pays(token, andThen = () => undefined) {
  await transaction(async (run, names) => {
    await run(`INSERT INTO ${schema}.orders VALUES (1)`);
    const given = { ...names, token, payload };
    await new AsyncFunction(...Object.keys(given), line)(...Object.values(given));
    andThen();
  });
}

async function what() {
  const { data } = await world.events.list({ runId: run.runId, resolveData: 'all' });
  const received = data.filter(({ eventType }) => eventType === 'hook_received');
  const { rows } = await query(`SELECT count(*)::int AS orders FROM ${schema}.orders`);
  return { payloads: received.map(({ eventData }) => valueIn(eventData.payload)), ...rows[0] };
}

/** The value of the SDK's text: a list whose objects and lists hold places in it. */
function valueIn(bytes) {
  const values = JSON.parse(new TextDecoder().decode(bytes).slice('devl'.length));
  const at = (place) => {
    const value = values[place];
    if (Array.isArray(value)) return value.map(at);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, at(part)]));
  };
  return at(0);
}

class Changed extends Error {}

await pays('token', () => {
  throw new Changed();
}).catch((error) => {
  if (!(error instanceof Changed)) throw error;
});
const afterRollback = await what();
await pays('token');
const afterCommit = await what();
const unknown = await pays('nobody').then(
  () => 'allowed',
  (error) => String(stateOf(error)),
);
console.log(JSON.stringify({ afterRollback, afterCommit, unknown }));
await end();
await world.close();

/** Each library has its own place for the SQLSTATE. */
function stateOf(error) {
  const { code, cause, meta } = error;
  if (/^HL/.test(code)) return code;
  const inner = meta?.driverAdapterError?.cause?.originalCode ?? meta?.code;
  return inner ?? (cause && stateOf(cause)) ?? error.message.match(/HL\d+/)?.[0] ?? error.message;
}
