/** A `proxy` or `middleware` must not answer the workflow routes. */
import type { Node, Statement, StringLiteral } from '@babel/types';
import { type Code, placeOf, TooUnusual } from '../code';
import { followed } from '../config';
import { nameOf } from '../imports';

const ROUTE = '/.well-known/workflow/v1/flow';
const EXCLUDED = '.well-known/workflow/';
const LOOKAHEAD = '(?!';

/** Excludes the workflow routes from each matcher that takes them. */
export function leaveWorkflowsAlone(code: Code): void {
  const config = exportedConfig(code);
  if (!config) {
    code.append(`export const config = { matcher: ['/((?!${EXCLUDED}).*)'] };`);
    return;
  }
  const found = followed(code, config);
  if (found.type !== 'ObjectExpression') throw new TooUnusual('its config is not an object');
  const matcher = code.property(found, 'matcher');
  if (!matcher) throw new TooUnusual('its config has no matcher');
  const value = followed(code, matcher);
  const parts = value.type === 'ArrayExpression' ? value.elements : [value];
  for (const part of parts) exclude(code, sourceOf(code, part));
}

function exportedConfig(code: Code): Node | undefined {
  for (const statement of code.statements) {
    if (statement.type !== 'ExportNamedDeclaration') continue;
    const { declaration } = statement as Extract<Statement, { type: 'ExportNamedDeclaration' }>;
    if (declaration?.type === 'VariableDeclaration') {
      const found = declaration.declarations.find(({ id }) => nameOf(id) === 'config');
      if (found) return found.init ?? undefined;
    }
    if (statement.specifiers.some((one) => nameOf(one.exported) === 'config')) {
      throw new TooUnusual('its config is exported from elsewhere');
    }
  }
  return undefined;
}

/** The text of a matcher, which may be an object with conditions. */
function sourceOf(code: Code, part: Node | null): StringLiteral {
  if (part?.type === 'StringLiteral') return part;
  if (part?.type === 'ObjectExpression') {
    const source = code.property(part, 'source');
    if (source?.type === 'StringLiteral') return source;
  }
  throw new TooUnusual('its matcher is not written as a text');
}

function exclude(code: Code, matcher: StringLiteral): void {
  if (!takesRoute(matcher.value)) return;
  const at = code.textOf(matcher).indexOf(LOOKAHEAD);
  if (at < 0) throw new TooUnusual(`its matcher ${matcher.value} takes ${ROUTE} too`);
  code.insert(placeOf(matcher)[0] + at + LOOKAHEAD.length, `${EXCLUDED}|`);
}

/** Whether a matcher takes the route; when that cannot be known, it does. */
function takesRoute(matcher: string): boolean {
  const fixed = /^[^:(*{[\\]*/.exec(matcher)?.[0] ?? '';
  if (!ROUTE.startsWith(fixed)) return false;
  // A named part, such as `:path*`.
  if (/:\w/.test(matcher.replaceAll('(?:', '('))) return true;
  try {
    return new RegExp(`^${matcher}/?$`).test(ROUTE);
  } catch {
    return true;
  }
}
