import { startDelivery } from 'hookline';

await startDelivery();
await import('./dist/server/entry.mjs');
