/** What only workflow 5 has. */
import { createWorld, type Run, registerLifecycleHooks } from 'hookline';
import type * as api from 'workflow/api';
import type { getWorld } from 'workflow/runtime';

type SdkWorld = Awaited<ReturnType<typeof getWorld>>;

createWorld().streams satisfies Required<Pick<SdkWorld['streams'], 'writeMulti'>>;
createWorld().capabilities satisfies SdkWorld['capabilities'];
registerLifecycleHooks satisfies typeof api.registerLifecycleHooks;
({}) as api.Run<string> satisfies Pick<Run<string>, keyof Run<string>>;
