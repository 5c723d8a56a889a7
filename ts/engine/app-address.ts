/** What this process knows of the app's address before it asks, and whom it trusts there. */
import { appUrl, basePath, type NativeConfig } from './config';

/** The JSON that `startWorker()` takes; `src/binding/requests.rs` reads it. */
interface AppAddress {
  url?: string;
  basePath?: string;
  authorities?: string[];
  anyCertificate?: boolean;
}

/**
 * The address for delivery over HTTP. It is read when delivery starts, because a server knows its
 * port only when it listens.
 */
export function appAddress({ baseUrl }: NativeConfig): string {
  const address: AppAddress = { url: appUrl(), basePath: basePath() };
  const urls = [baseUrl, address.url];
  if (urls.some((url) => url && /^https:/i.test(url))) Object.assign(address, trusted());
  return JSON.stringify(address);
}

/**
 * The certificates that Node trusts: its own list, `NODE_EXTRA_CA_CERTS`, and the system's with
 * `--use-system-ca`. Earlier than 22.15, Node tells only its own list.
 */
function trusted(): Pick<AppAddress, 'authorities' | 'anyCertificate'> {
  const tls = process.getBuiltinModule('node:tls') as typeof import('node:tls') & {
    getCACertificates?(type: 'default'): string[];
  };
  const authorities = tls.getCACertificates?.('default') ?? [...tls.rootCertificates, ...extra()];
  return { authorities, anyCertificate: process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0' };
}

function extra(): string[] {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  if (!file) return [];
  try {
    return [process.getBuiltinModule('node:fs').readFileSync(file, 'utf8')];
  } catch {
    // Node itself has warned of it at its start.
    return [];
  }
}
