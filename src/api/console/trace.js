// What would become of a frame: the form, and the answer's way through the VTEP.

import { change } from "./api.js";
import { byId, html } from "./dom.js";
import { place } from "./format.js";

// Bytes of the shortest Ethernet frame, without FCS.
const LEAST = 60;

const hex = (text) => text.replace(/[\s:.-]/g, "").toLowerCase();

const known = ({ mac, known: of }) => (of ? `${mac}, ${of.kind} at ${place(of)}` : `${mac}, not known`);

function outer({ source, destination, next_hop: hop, destination_mac: mac, udp, encap, id, ttl }) {
  const ports = udp ? `, UDP ${udp.source} → ${udp.destination}` : "";
  const network = id === undefined ? "" : ` ID ${id}`;
  return `${encap.toUpperCase()}${network}, ${source} → ${destination}${ports}, TTL ${ttl}, next hop ${hop ?? "a group"} at ${mac}`;
}

function decision({ verdict, reason, kind, ...to }) {
  if (verdict === "send") return `sent to ${place(to)}`;
  return verdict === "flood" ? `flooded: ${kind.replace("_", " ")}` : `dropped: ${reason}`;
}

// The answer, stage by stage: a name and what there is to say.
function stages(trace) {
  const { ingress, source, destination } = trace;
  const effect = ({ effect: name, ...of }) =>
    [name.replace("_", " "), of.mac, of.ip, of.peer, of.port && place(of)].filter(Boolean).join(" ");
  return [
    ["Frame", `${trace.length} bytes at ${trace.role} port ${trace.port}`],
    ["Network", ingress ? `${ingress.vni} ${ingress.network}, from ${place(ingress)}` : "none"],
    source && ["Source", known(source)],
    destination && ["Destination", known(destination)],
    trace.decision && ["Decision", decision(trace.decision)],
    ...trace.effects.map((of) => ["Effect", effect(of)]),
    ...trace.sent.map((sent) => ["Sent", `${sent.length} bytes by ${sent.port}${sent.outer ? `: ${outer(sent.outer)}` : ""}`]),
    trace.more > 0 && ["Sent", `${trace.more} more packets`],
    ...trace.drops.map(({ port, reason, meaning, remedy }) => ["Dropped", `${reason} at ${port}: ${meaning} ${remedy}`]),
  ].filter(Boolean);
}

export class Trace {
  constructor() {
    this.port = byId("trace-port");
    this.frame = byId("trace-frame");
    this.result = byId("trace-result");
    this.fields = ["to", "from", "vlan"].map((name) => byId(`trace-${name}`));
    for (const field of this.fields) field.addEventListener("input", () => this.#write());
    byId("trace-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    this.#write();
  }

  // The ports to choose from.
  offer(ports) {
    const names = ports.map(({ name }) => name);
    if (JSON.stringify(names) === JSON.stringify([...this.port.options].map(({ value }) => value))) return;
    const chosen = this.port.value;
    // Most traces begin at a tenant.
    const first = ports.find(({ role }) => role === "access") ?? ports[0];
    this.port.replaceChildren(...names.map((name) => html("option", {}, name)));
    this.port.value = names.includes(chosen) ? chosen : first?.name;
  }

  // A frame of these fields: without payload, of the EtherType for experiments (IEEE 802).
  #write() {
    const [to, from, vlan] = this.fields.map(({ value }) => value);
    const tag = vlan ? `8100${Number(vlan).toString(16).padStart(4, "0")}` : "";
    this.frame.value = `${hex(to)}${hex(from)}${tag}88b5`.padEnd(2 * LEAST, "0");
  }

  async #ask() {
    try {
      const body = JSON.stringify({ port: this.port.value, frame: hex(this.frame.value) });
      const trace = await change("POST", "/v1/trace", body, "application/json");
      this.result.replaceChildren(html("dl", {}, stages(trace).flatMap(([name, text]) =>
        [html("dt", { class: name.toLowerCase() }, name), html("dd", {}, text)])));
    } catch (error) {
      this.result.replaceChildren(html("p", { class: "bad" }, error.message));
    }
  }
}
