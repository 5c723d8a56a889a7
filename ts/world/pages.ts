/** Reads lists to their end. */
import type { Page, PageRequest } from '../../index';

/** Items of one page. */
const PAGE = 1000;

/** All items of a list, in ascending order. */
export async function everything<T>(list: (page: PageRequest) => Promise<Page<T>>): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ pagination: { limit: PAGE, cursor, sortOrder: 'asc' } });
    all.push(...page.data);
    cursor = page.hasMore ? (page.cursor ?? undefined) : undefined;
  } while (cursor !== undefined);
  return all;
}
