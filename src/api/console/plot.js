// Lines over the last two minutes.

import { html, setText, svg } from "./dom.js";
import { SPAN } from "./rates.js";

// A pause longer than this, in seconds, is a gap in the line.
const GAP = 4;

// The next of 1, 2, 5, 10 … that is not less.
function ceiling(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return size * [1, 2, 5, 10].find((step) => step * size >= value * 0.999);
}

function path(points, now, [width, height], top) {
  let data = "";
  let before = null;
  for (const { time, value } of points) {
    if (value === null || time < now - SPAN) {
      before = null;
      continue;
    }
    const x = (width * (1 - (now - time) / SPAN)).toFixed(1);
    const y = (height * (1 - value / top)).toFixed(1);
    data += `${before !== null && time - before < GAP ? "L" : "M"}${x} ${y}`;
    before = time;
  }
  return data;
}

const most = (lines) => Math.max(0, ...lines.flat().map(({ value }) => value ?? 0));

export class Plot {
  #size = [600, 120];

  // `names` are the lines, in the order of their colours; `format` writes a value; `top` is fixed or follows the values.
  constructor(title, names, format, top) {
    this.format = format;
    this.top = top;
    this.values = names.map(() => html("b"));
    this.paths = names.map((_, at) => svg("path", { class: `line line${at}` }));
    this.scale = html("span", { class: "scale" });
    const legend = names.map((name, at) =>
      html("span", { class: `key key${at}` }, name, " ", this.values[at]));
    const grid = [0.25, 0.5, 0.75].map((at) =>
      svg("path", { class: "grid", d: `M0 ${this.#size[1] * at}H${this.#size[0]}` }));
    const drawing = svg(
      "svg",
      { viewBox: `0 -2 ${this.#size[0]} ${this.#size[1] + 4}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      grid,
      this.paths,
    );
    const times = html("div", { class: "times" }, html("span", {}, "2 min ago"), html("span", {}, "now"));
    this.node = html(
      "figure",
      { class: "plot" },
      html("figcaption", {}, html("h3", {}, title), html("span", { class: "legend" }, legend)),
      html("div", { class: "area" }, this.scale, drawing),
      times,
    );
  }

  draw(now, lines) {
    const largest = most(lines);
    const top = this.top ?? (largest > 0 ? ceiling(largest) : 1);
    setText(this.scale, largest > 0 || this.top ? this.format(top) : "");
    lines.forEach((points, at) => {
      this.paths[at].setAttribute("d", path(points, now, this.#size, top));
      setText(this.values[at], this.format(points.at(-1)?.value ?? null));
    });
  }
}

// A line without a scale, for a table's cell.
export function spark(now, points) {
  const [width, height] = [90, 18];
  const top = most([points]) || 1;
  return svg(
    "svg",
    { class: "spark", viewBox: `0 -1 ${width} ${height + 2}`, width, height: height + 2, "aria-hidden": "true" },
    svg("path", { class: "line line0", d: path(points, now, [width, height], top) }),
  );
}
