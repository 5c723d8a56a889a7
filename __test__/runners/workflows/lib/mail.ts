import ms from 'ms';

/** Pretends to send a mail. */
export async function send(to: string, text: string): Promise<string> {
  return `${text} to ${to}, again in ${ms('1d')} ms`;
}
