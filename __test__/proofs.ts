/** The proofs of `src/crypto/delivery.rs`, for an app that a test simulates. */
import { createHmac } from 'node:crypto';
import { inspect } from './crash/harness';

/** Every process with the database can make these proofs; the file must exist by then. */
export function proofsOf(database: string) {
  let secret: Buffer | undefined;
  const mac = (...parts: (string | Buffer)[]) => {
    secret ??= Buffer.from(inspect(database).deliverySecret[0] as string, 'hex');
    const hmac = createHmac('sha256', secret);
    for (const part of parts.map((part) => Buffer.from(part))) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(BigInt(part.length));
      hmac.update(length).update(part);
    }
    return hmac.digest('base64url');
  };
  const shorts = (value: number) => {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(value);
    return bytes;
  };
  return {
    ofApp: (challenge: string) => mac('hookline app 1', challenge),
    ofAnswer: (request: string, status: number, body: string) =>
      mac('hookline answer 1', request, shorts(status), body),
  };
}
