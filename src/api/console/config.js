// The running configuration, and what another one would change.

import { change, get } from "./api.js";
import { byId, html, setText } from "./dom.js";
import { yaml } from "./yaml.js";

const short = (value) => (value === null ? "nothing" : JSON.stringify(value));

// A difference in lines.
function describe({ resource, name, fate, keys = [], needs_restart: fixed }) {
  const part = [resource.replace("_", " "), name].filter((word) => word !== undefined).join(" ");
  const end = fixed ? " (only by a new start)" : "";
  if (!keys.length) return [`${part}: ${fate}${end}`];
  return keys.map(({ key, old, new: now, ...sets }) => {
    if (old !== undefined) return `${part}: ${key}: ${short(old)} → ${short(now)}${end}`;
    // Lists that were added and removed, or numbers of static MACs and their addresses.
    const list = Object.entries(sets).filter(([, set]) => set.length !== 0);
    return `${part}: ${key}: ${list.map(([how, set]) => `${how} ${JSON.stringify(set)}`).join(", ")}${end}`;
  });
}

export class Config {
  #running = "";

  constructor() {
    this.text = byId("config-text");
    this.result = byId("config-result");
    byId("config-check").addEventListener("click", () => this.check());
    byId("config-reset").addEventListener("click", () => this.load());
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.check();
    });
  }

  // What runs, unless the text was edited.
  async show() {
    if (this.text.value === this.#running) await this.load();
  }

  async load() {
    try {
      this.#running = `${yaml(await get("/v1/config"))}\n`;
      this.text.value = this.#running;
      this.result.replaceChildren();
    } catch (error) {
      this.#say("bad", error.message);
    }
  }

  async check() {
    this.#say("", "Checking …");
    try {
      const { differences, warnings } = await change("PUT", "/v1/config?dry_run=true", this.text.value, "application/yaml");
      this.#say("good", differences.length ? "It is valid, and would change:" : "It is valid, and changes nothing.");
      this.#list(differences.flatMap(describe));
      this.#list(warnings, "warning");
    } catch (error) {
      this.#say("bad", error.status === 400 ? "It is not valid:" : error.message);
      if (error.status === 400) this.#list(error.message.split("\n"), "bad");
    }
  }

  #say(kind, text) {
    this.result.replaceChildren(html("p", { class: kind }, text));
  }

  // Messages; one that names a line leads there.
  #list(messages, kind) {
    if (!messages.length) return;
    const item = (message) => {
      const [, line, rest] = message.match(/^body:(\d+): (.*)$/s) ?? [];
      if (!line) return html("li", {}, message);
      return html("li", {}, html("button", { type: "button", click: () => this.#goTo(Number(line)) }, `line ${line}`), ` ${rest}`);
    };
    this.result.append(html("ul", { class: kind }, messages.map(item)));
  }

  #goTo(line) {
    const lines = this.text.value.split("\n");
    const begin = lines.slice(0, line - 1).reduce((sum, { length }) => sum + length + 1, 0);
    this.text.focus();
    this.text.setSelectionRange(begin, begin + (lines[line - 1]?.length ?? 0));
  }
}
