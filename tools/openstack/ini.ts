/** A section's options; what is undefined is left out. */
export type Section = Readonly<Record<string, string | number | boolean | undefined>>;

/** oslo.config's file format: section -> option -> value. */
export function ini(sections: Readonly<Record<string, Section>>): string {
  return Object.entries(sections)
    .map(([name, options]) => {
      const lines = Object.entries(options).flatMap(([key, value]) =>
        value === undefined ? [] : `${key} = ${value}\n`,
      );
      return `[${name}]\n${lines.join('')}`;
    })
    .join('\n');
}
