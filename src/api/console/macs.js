// The search for MACs. The API filters by network and kind; the words are looked for here, page by page.

import { byId, html, setText } from "./dom.js";
import { duration, place, whole } from "./format.js";
import { pages } from "./api.js";
import { table, update } from "./table.js";

const SHOWN = 200;
const PAGE = 10000;
const PAUSE = 250;

export class Macs {
  #search = new AbortController();
  #timer = 0;

  constructor() {
    this.text = byId("mac-text");
    this.network = byId("mac-network");
    this.kind = byId("mac-kind");
    this.note = byId("mac-note");
    this.table = table("MACs", ["MAC", "Network", "Place", "Kind", "Last seen"], [4]);
    byId("mac-rows").append(this.table.node);
    this.text.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.show(), PAUSE);
    });
    for (const choice of [this.network, this.kind]) choice.addEventListener("change", () => this.show());
  }

  // The networks to choose from.
  offer(networks) {
    const wanted = networks.map(({ vni, name }) => [String(vni), `${vni} ${name}`]);
    const known = [...this.network.options].slice(1).map(({ value, text }) => [value, text]);
    if (JSON.stringify(wanted) === JSON.stringify(known)) return;
    const chosen = this.network.value;
    this.network.replaceChildren(
      html("option", { value: "" }, "all networks"),
      ...wanted.map(([value, text]) => html("option", { value }, text)));
    this.network.value = wanted.some(([value]) => value === chosen) ? chosen : "";
  }

  lookFor(text) {
    this.text.value = text;
    this.network.value = "";
    this.kind.value = "";
  }

  async show() {
    this.#search.abort();
    this.#search = new AbortController();
    const { signal } = this.#search;
    const words = this.text.value.trim().toLowerCase().replaceAll("-", ":").split(/\s+/);
    const filter = new URLSearchParams({ limit: PAGE });
    if (this.network.value) filter.set("vni", this.network.value);
    if (this.kind.value) filter.set("kind", this.kind.value);
    // Of a whole MAC Ferry sends no others.
    const mac = words.find((word) => /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(word));
    if (mac) filter.set("mac", mac);
    const found = [];
    let [seen, matches] = [0, 0];
    const tell = (end) => setText(
      this.note, `${whole(matches)} of ${whole(seen)} MACs${matches > SHOWN ? `, the first ${SHOWN} shown` : ""}${end}`);
    try {
      for await (const list of pages(`/v1/macs?${filter}`, signal)) {
        seen += list.length;
        for (const mac of list) {
          const text = `${mac.mac} ${mac.network} ${mac.vni} ${place(mac)} ${mac.kind}`.toLowerCase().replaceAll("-", ":");
          if (!words.every((word) => text.includes(word))) continue;
          matches += 1;
          if (found.length < SHOWN) found.push(mac);
        }
        tell(" …");
      }
      tell("");
    } catch (error) {
      if (signal.aborted) return;
      setText(this.note, error.message);
    }
    update(this.table, found, ({ vni, mac }) => `${vni} ${mac}`, (mac) => [
      mac.mac, `${mac.vni} ${mac.network}`, place(mac), mac.frozen ? `${mac.kind}, frozen` : mac.kind,
      mac.age_seconds === null ? "–" : `${duration(mac.age_seconds)} ago`,
    ]);
  }
}
