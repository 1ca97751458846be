// What goes on now: figures, the topology, plots, and the tables of what there is.

import { byId, html, setText } from "./dom.js";
import { count, duration, percent, place, whole } from "./format.js";
import { Plot, spark } from "./plot.js";
import { table, update } from "./table.js";
import { Topology, peerKey } from "./topology.js";

// Rows of a table, so that ten thousand peers hold up no browser.
const ROWS = 200;

const TILES = [
  ["rx", "Received", "packets/s"],
  ["tx", "Sent", "packets/s"],
  ["drops", "Dropped", "packets/s"],
  ["busy", "Workers busy", "mean"],
  ["macs", "MACs", "in all networks"],
  ["uptime", "Running", "since its start"],
];

const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);

// All counters of a reading that rates are made of.
export function counters({ ports, networks, peers, workers, drops, totals }) {
  const all = { rx: totals.rx, tx: totals.tx, drops: totals.drops };
  const own = ports.filter(({ role }) => role !== "twin");
  for (const way of ["rx", "tx"]) {
    all[`${way}_bits`] = 8 * sum(own, (port) => port[`${way}_bytes`]);
    for (const port of ports) {
      all[`${port.name} ${way}_packets`] = port[`${way}_packets`];
      all[`${port.name} ${way}_bits`] = 8 * port[`${way}_bytes`];
    }
  }
  const carried = (name, volume) => {
    if (!volume) return;
    all[`${name} packets`] = volume.packets;
    all[`${name} bits`] = 8 * volume.bytes;
  };
  for (const { vni, from_ports, from_peers } of networks) {
    carried(`network ${vni} ports`, from_ports);
    carried(`network ${vni} peers`, from_peers);
  }
  for (const peer of peers) {
    carried(`${peerKey(peer)} sent`, peer.sent);
    carried(`${peerKey(peer)} received`, peer.received);
  }
  for (const { name, drops: packets } of ports) all[`${name} drops`] = packets;
  for (const { lcore, busy_seconds, idle_seconds, rx_packets } of workers) {
    all[`worker ${lcore} busy`] = busy_seconds;
    all[`worker ${lcore} idle`] = idle_seconds;
    all[`worker ${lcore} rx`] = rx_packets;
  }
  for (const { port, reason, packets } of drops) all[`drop ${port} ${reason}`] = packets;
  return all;
}

// The share of a worker's time in which it had something to do, in percent, at each reading.
function busy(rates, lcore) {
  const idle = rates.line(`worker ${lcore} idle`);
  return rates.line(`worker ${lcore} busy`).map(({ time, value }, at) => {
    const rest = idle[at]?.value ?? null;
    const known = value !== null && rest !== null && value + rest > 0;
    return { time, value: known ? (100 * value) / (value + rest) : null };
  });
}

// Readings of several workers as one.
function combined(lines, how) {
  return (lines[0] ?? []).map(({ time }, at) => {
    const values = lines.map((line) => line[at]?.value ?? null);
    return { time, value: values.includes(null) ? null : how(values) };
  });
}

// All next hops where there are several, else the one.
function hops({ next_hop: address, mac, next_hops: several = [] }) {
  if (several.length) return several.map((hop) => `${hop.address} by ${hop.port}`).join(", ");
  return address ? `${address} ${mac ?? ""}` : "–";
}

export class Overview {
  constructor(openMacs) {
    this.tiles = TILES.map(([id, name, unit]) => {
      const value = html("output", { id: `tile-${id}` }, "–");
      byId("tiles").append(html("div", { class: `tile ${id}` }, html("span", {}, name), value, html("small", {}, unit)));
      return value;
    });
    this.topology = new Topology(byId("topology"), openMacs);
    const bits = (value) => (value === null ? "–" : `${count(value)}bit/s`);
    this.plots = [
      new Plot("Packets a second", ["received", "sent"], count),
      new Plot("Traffic at all ports", ["received", "sent"], bits),
      new Plot("Drops a second", ["dropped"], count),
      new Plot("Workers busy", ["mean", "busiest"], percent, 100),
    ];
    this.plots[2].node.classList.add("drops");
    byId("plots").append(...this.plots.map(({ node }) => node));
    this.drops = table("Drops", ["Port", "Reason", "Packets", "a second", "Meaning", "Remedy"], [2, 3]);
    this.ports = table(
      "Ports", ["Port", "Role", "Link", "Received/s", "Sent/s", "In bit/s", "Out bit/s", "Drops", "Received"], [3, 4, 5, 6, 7]);
    this.networks = table(
      "Networks",
      ["VNI", "Name", "From ports/s", "bit/s", "From peers/s", "bit/s", "Encapsulation", "Ports", "Peers", "MACs", "of at most", "Moves"],
      [0, 2, 3, 4, 5, 8, 9, 10, 11]);
    this.peers = table(
      "Peers",
      ["Address", "State", "Sent/s", "bit/s", "Received/s", "bit/s", "Encapsulation", "Port", "Next hop", "MTU", "Networks"],
      [2, 3, 4, 5, 9]);
    this.workers = table("Workers", ["Core", "Queues", "Received/s", "A burst", "Busy", "Busy over time"], [2, 3, 4]);
    this.none = html("p", { class: "none" }, "No packet was dropped.");
    byId("tables").append(
      this.none, ...[this.drops, this.ports, this.networks, this.peers, this.workers].map(({ node }) => node));
  }

  draw(now, world, vtep, rates) {
    const { ports, networks, peers, workers, totals } = world;
    const shares = workers.map(({ lcore }) => busy(rates, lcore));
    const mean = combined(shares, (values) => sum(values, (value) => value) / values.length);
    const macs = sum(networks, ({ macs_learned, macs_static }) => macs_learned + macs_static);
    const values = [
      ...["rx", "tx", "drops"].map((name) => count(rates.latest(name))),
      percent(mean.at(-1)?.value), whole(macs), duration(totals.uptime_seconds),
    ];
    values.forEach((value, at) => setText(this.tiles[at], value));
    this.topology.draw(world, vtep, rates);
    [
      [rates.line("rx"), rates.line("tx")],
      [rates.line("rx_bits"), rates.line("tx_bits")],
      [rates.line("drops")],
      [mean, combined(shares, (values) => Math.max(...values))],
    ].forEach((lines, at) => this.plots[at].draw(now, lines));
    this.#tables(now, world, rates, shares);
  }

  #tables(now, { ports, networks, peers, workers, drops }, rates, shares) {
    const rate = (name) => count(rates.latest(name));
    const carried = (name) => [rate(`${name} packets`), rate(`${name} bits`)];
    const dropName = ({ port, reason }) => `drop ${port} ${reason}`;
    const rows = [...drops].sort((a, b) =>
      (rates.latest(dropName(b)) ?? 0) - (rates.latest(dropName(a)) ?? 0) || b.packets - a.packets);
    this.drops.node.hidden = !drops.length;
    this.none.hidden = drops.length > 0;
    update(this.drops, rows.slice(0, ROWS), dropName, (drop) =>
      [drop.port, drop.reason, whole(drop.packets), rate(dropName(drop)), drop.meaning, drop.remedy]);
    update(this.ports, ports.slice(0, ROWS), ({ name }) => name, ({ name, role, link, drops: packets }) => [
      name, role, link,
      ...["rx_packets", "tx_packets", "rx_bits", "tx_bits"].map((what) => rate(`${name} ${what}`)),
      whole(packets), spark(now, rates.line(`${name} rx_packets`)),
    ]);
    update(this.networks, networks.slice(0, ROWS), ({ vni }) => String(vni), (network) => [
      String(network.vni), network.name,
      ...["ports", "peers"].flatMap((from) => carried(`network ${network.vni} ${from}`)), network.encap.toUpperCase(), network.ports.map(place).join(", "),
      network.group ?? String(network.peers.length),
      whole(network.macs_learned + network.macs_static), whole(network.mac_limit), whole(network.mac_moves),
    ]);
    update(this.peers, peers.slice(0, ROWS), peerKey, (peer) => [
      peer.address, peer.state.replace("_", " "),
      ...["sent", "received"].flatMap((way) => carried(`${peerKey(peer)} ${way}`)), peer.encap.toUpperCase(), peer.port ?? "–",
      hops(peer), peer.mtu === null ? "–" : String(peer.mtu),
      peer.networks.join(", "),
    ]);
    update(this.workers, workers, ({ lcore }) => String(lcore), (worker) => {
      const share = shares[workers.indexOf(worker)];
      return [
        String(worker.core), worker.queues.join(", "), rate(`worker ${worker.lcore} rx`),
        worker.bursts ? (worker.rx_packets / worker.bursts).toFixed(1) : "–",
        percent(share.at(-1)?.value), spark(now, share),
      ];
    });
  }
}
