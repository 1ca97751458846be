// The log of events, as the stream tells them while the page is open.

import { byId, html, setText } from "./dom.js";
import { events } from "./api.js";
import { place } from "./format.js";

const KEPT = 500;
const PAUSE = 1000;

// An event in words, as `ferry events` has them.
function words(event) {
  const mac = `network ${event.vni} ${event.network}, ${event.mac}`;
  switch (event.event) {
    case "mac_learned": return `${mac}: learned at ${place(event)}`;
    case "mac_moved": return `${mac}: moved from ${place(event.from)} to ${place(event)}`;
    case "mac_aged": return `${mac}: forgotten at ${place(event)}`;
    case "peer_up": return `peer ${event.peer}: up, next hop ${event.next_hop} is ${event.mac} by ${event.port}`;
    case "peer_down":
      return `peer ${event.peer}: down, ${event.routed ? "its next hop does not answer" : "no route by an underlay port"}`;
    case "port_added": return `port ${event.port}: added`;
    case "port_removed": return `port ${event.port}: removed`;
    case "link_up": return `port ${event.port}: link up`;
    case "link_down": return `port ${event.port}: ${event.gone ? "interface gone" : "link down"}`;
    case "lost": return `${event.events} events lost: there were too many`;
    default: return JSON.stringify(event);
  }
}

export class Log {
  #lines = [];
  #changed = false;

  constructor() {
    this.list = byId("event-list");
    this.text = byId("event-text");
    this.note = byId("event-note");
    this.text.addEventListener("input", () => this.draw(true));
  }

  add(kind, text) {
    this.#lines.unshift({ time: new Date(), kind, text });
    this.#lines.length = Math.min(this.#lines.length, KEPT);
    this.#changed = true;
  }

  // Listens for ever; after each end of the stream once more.
  async listen() {
    for (;;) {
      try {
        for await (const event of events()) this.add(event.event, words(event));
      } catch {
        // The page says already that nobody answers.
      }
      await new Promise((done) => setTimeout(done, PAUSE));
    }
  }

  draw(anew) {
    if (!anew && !this.#changed) return;
    this.#changed = false;
    const wanted = this.text.value.trim().toLowerCase();
    const lines = this.#lines.filter(({ text }) => text.toLowerCase().includes(wanted));
    this.list.replaceChildren(...lines.map(({ time, kind, text }) => html(
      "li", { class: kind },
      html("time", { datetime: time.toISOString() }, time.toLocaleTimeString("en-GB")), html("span", {}, text))));
    setText(this.note, lines.length ? "" : "Nothing has happened since this page was opened.");
  }
}
