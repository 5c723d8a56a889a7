/** Walks through the nodes of a syntax tree. */
import type { Node } from '@babel/types';

/** The nodes below some nodes, each before its children. */
export function* nodesIn(...roots: unknown[]): Generator<Node> {
  for (const root of roots) {
    if (Array.isArray(root)) yield* nodesIn(...root);
    else if (isNode(root)) {
      yield root;
      for (const [name, value] of Object.entries(root)) {
        if (!name.endsWith('Comments') && typeof value === 'object') yield* nodesIn(value);
      }
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

/** How often the nodes use a name. */
export function usesOf(name: string, ...roots: unknown[]): number {
  let uses = 0;
  for (const node of nodesIn(...roots)) {
    if (node.type === 'Identifier' && node.name === name) uses += 1;
  }
  return uses;
}
