/** What `hookline doctor` finds. */

/** The result of one check. */
export interface Finding {
  what: string;
  state: 'good' | 'warning' | 'problem';
  found: string;
  fix?: string;
}
