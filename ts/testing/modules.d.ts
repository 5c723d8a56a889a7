/** `ms` 2 has no types. */
declare module 'ms' {
  /** Milliseconds of a text such as `2h`; `undefined` for a text that is not a duration. */
  export default function ms(text: string): number | undefined;
}
