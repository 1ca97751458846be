// Tables that are written again and again.

import { html, setText } from "./dom.js";

// A table with a head; `numbers` are the columns that stand right.
export function table(caption, columns, numbers = []) {
  const heads = columns.map((name, at) =>
    html("th", { scope: "col", class: numbers.includes(at) ? "number" : undefined }, name));
  const body = html("tbody");
  const node = html("table", {}, html("caption", {}, caption), html("thead", {}, html("tr", {}, heads)), body);
  return { node: html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, node), body, columns, numbers };
}

// Rows are kept by key, and a cell is touched only where it differs: selection and focus outlive it.
export function update({ body, columns, numbers }, items, key, cells) {
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, at) => {
    const name = key(item);
    const row = old.get(name) ?? html("tr", { "data-key": name });
    old.delete(name);
    if (body.rows[at] !== row) body.insertBefore(row, body.rows[at] ?? null);
    cells(item).forEach((content, column) => {
      let cell = row.cells[column];
      if (!cell) {
        cell = html("td", { "data-column": columns[column], class: numbers.includes(column) ? "number" : undefined });
        row.append(cell);
      }
      if (content instanceof Node) cell.replaceChildren(content);
      else setText(cell, content);
    });
  });
  for (const row of old.values()) row.remove();
}
