/** Edits of JSON files: `package.json`, and the configurations beside it. */
import type { ObjectExpression } from '@babel/types';
import { type Code, TooUnusual } from './code';
import { objectOf } from './config';
import type { Draft } from './draft';

/** Sets texts in an object of a JSON file; the object is named by its path of keys. */
export function setTexts(
  draft: Draft,
  path: string,
  keys: string[],
  texts: Record<string, string>,
): void {
  const byHand = `${JSON.stringify(nested(keys, texts), null, 2)}\n`;
  draft.edit(path, (code) => setIn(code, rootOf(code), keys, texts), byHand);
}

/** Texts below a path of keys. */
function nested(keys: string[], texts: Record<string, string>): object {
  return [...keys].reverse().reduce<object>((inner, key) => ({ [key]: inner }), texts);
}

function rootOf(code: Code): ObjectExpression {
  if (code.json?.type === 'ObjectExpression') return code.json;
  throw new TooUnusual('it is not a JSON object');
}

function setIn(
  code: Code,
  object: ObjectExpression,
  keys: string[],
  texts: Record<string, string>,
): void {
  const [key, ...rest] = keys;
  if (key === undefined) {
    for (const [name, text] of Object.entries(texts)) setText(code, object, name, text);
    return;
  }
  const inner = objectOf(code, object, key);
  if (inner) setIn(code, inner, rest, texts);
  else code.addProperty(object, key, JSON.stringify(nested(rest, texts), null, code.style.indent));
}

function setText(code: Code, object: ObjectExpression, name: string, text: string): void {
  const value = code.property(object, name);
  if (!value) code.addProperty(object, name, JSON.stringify(text));
  else if (value.type !== 'StringLiteral') throw new TooUnusual(`its ${name} is not a text`);
  else if (value.value !== text) code.replace(value, JSON.stringify(text));
}
