import { definePlugin } from 'nitro';
import { getWorld } from 'workflow/runtime';

// Starts delivery when the server starts: sleeping and interrupted runs go on by themselves.
export default definePlugin(() => {
  getWorld()
    .start?.()
    .catch((error) => {
      console.error(error);
      process.exit(1);
    });
});
