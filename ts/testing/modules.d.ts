/** `ms` 2 comes without types. */
declare module 'ms' {
  /** Milliseconds of a text such as `2h`; `undefined` when it is none. */
  export default function ms(text: string): number | undefined;
}
