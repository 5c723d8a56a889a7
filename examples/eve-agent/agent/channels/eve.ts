import { none } from 'eve/channels/auth';
import { eveChannel } from 'eve/channels/eve';

/** Anybody may ask. In your own app, name who may: httpBasic(), oidc(), or a function of yours. */
export default eveChannel({ auth: [none()] });
