/** Compiled with the SDK installed: our World is one of its Worlds, and our functions are its own. */
import type * as api from '@workflow/core/runtime';
import type { Hook as SdkHook, World as SdkWorld } from '@workflow/world';
import { createWorld, getHookByToken, type Hook, resumeHook } from 'hookline';

createWorld() satisfies SdkWorld;
createWorld() satisfies Required<Pick<SdkWorld, 'start' | 'close' | 'writeToStreamMulti'>>;

({}) as Hook satisfies SdkHook;
({}) as SdkHook satisfies Hook;

getHookByToken satisfies typeof api.getHookByToken;
// Our payload is NonNullable, as the page documents it; the SDK's type allows null too.
resumeHook<object> satisfies typeof api.resumeHook<object>;
