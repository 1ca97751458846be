// The running configuration in YAML, in the manner of Ferry's own examples: what fits stands in one line.

const WIDTH = 100;
// Words that YAML takes for something else than text.
const SPECIAL = /^(true|false|null|yes|no|on|off|~)$/i;

function scalar(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  return /^[A-Za-z/_][\w./-]*$/.test(value) && !SPECIAL.test(value) ? value : JSON.stringify(value);
}

function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (value === null || typeof value !== "object") return scalar(value);
  return `{${Object.entries(value).map(([key, item]) => `${scalar(key)}: ${flow(item)}`).join(", ")}}`;
}

function lines(value, indent, room) {
  const short = flow(value);
  if (short.length <= room || value === null || typeof value !== "object" || !Object.keys(value).length) {
    return [short];
  }
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first, ...rest] = lines(item, deeper, WIDTH - deeper.length);
      return [first.startsWith(deeper) ? `${indent}- ${first.slice(deeper.length)}` : `${indent}- ${first}`, ...rest];
    });
  }
  return Object.entries(value).flatMap(([key, item]) => {
    const name = `${indent}${scalar(key)}:`;
    const [first, ...rest] = lines(item, deeper, WIDTH - name.length - 1);
    return first.startsWith(deeper) ? [name, first, ...rest] : [`${name} ${first}`];
  });
}

export function yaml(config) {
  // Each section begins a line of its own, and none is left so short that the whole is one line.
  return Object.entries(config)
    .flatMap(([key, section]) => {
      const [first, ...rest] = lines(section, "  ", WIDTH - key.length - 2);
      return first.startsWith("  ") ? [`${scalar(key)}:`, first, ...rest] : [`${scalar(key)}: ${first}`];
    })
    .join("\n");
}
