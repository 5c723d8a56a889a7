import { defineSandbox } from 'eve/sandbox';
import { JustBashSandbox } from 'eve/sandbox/just-bash';

/** The sandbox that needs no Docker. */
export const environment = JustBashSandbox.environment();

export default defineSandbox(() => environment.open());
