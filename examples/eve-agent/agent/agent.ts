import { defineAgent } from 'eve';
import { anthropic } from 'eve/models/anthropic';
import { offline } from './lib/offline';

export default defineAgent({
  model: process.env.ANTHROPIC_API_KEY ? anthropic() : offline,
  experimental: { workflow: { world: 'hookline' } },
  // Copied beside the built server, because no bundler can inline the addon.
  build: { externalDependencies: ['hookline'] },
});
