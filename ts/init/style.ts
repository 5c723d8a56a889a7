/** How a file is written, so that what is added looks like the rest. */
import type { Statement } from '@babel/types';

/** The habits of a file. */
export interface Style {
  quote: "'" | '"';
  semicolons: boolean;
  /** One step of indentation. */
  indent: string;
  lineEnd: '\n' | '\r\n';
}

/** Guesses the habits of a text from what most of its statements and lines do. */
export function styleOf(text: string, statements: Statement[]): Style {
  const lines = text.split(/\r?\n/).filter((line) => !/^\s*(?:\/[/*]|\*)/.test(line));
  const count = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
  const ends = statements.filter(mayEndInSemicolon).map(({ end }) => text[(end as number) - 1]);
  const steps = lines.flatMap((line) => /^(?:\t+| +)(?=\S)/.exec(line) ?? []);
  const [shortest = '  '] = steps.sort((a, b) => a.length - b.length);
  return {
    quote: count(/"/) > count(/'/) ? '"' : "'",
    semicolons: ends.filter((end) => end === ';').length * 2 >= ends.length,
    indent: shortest.startsWith('\t') ? '\t' : shortest,
    lineEnd: text.includes('\r\n') ? '\r\n' : '\n',
  };
}

function mayEndInSemicolon(statement: Statement): boolean {
  if (statement.type === 'ExportNamedDeclaration') {
    return !statement.declaration || mayEndInSemicolon(statement.declaration);
  }
  if (statement.type === 'ExportDefaultDeclaration') {
    return !/^(?:Function|Class)Declaration$/.test(statement.declaration.type);
  }
  return /^(?:Import|Variable|ExportAll)Declaration$|^ExpressionStatement$/.test(statement.type);
}
