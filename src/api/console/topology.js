// The drawing of who is connected with whom: access ports, networks, underlay ports, and the other VTEPs.

import { setText, svg } from "./dom.js";
import { count } from "./format.js";

// Boxes of a column; the tables have the others.
const MOST = 12;
const HEIGHT = 42;
const GAP = 10;
const MARGIN = 12;
const HEAD = 34;
// Where less room is, underlay ports have no column of their own.
const WIDE = 640;
// Less is a page that is not shown yet.
const LEAST = 240;

export const peerKey = ({ address, index }) => `peer ${address} ${index}`;

function model({ ports, networks, peers }) {
  const port = ({ name, link }) => ({ key: `port ${name}`, title: name, state: link, search: name });
  const limited = (list, make) => ({ nodes: list.slice(0, MOST).map(make), more: Math.max(0, list.length - MOST) });
  return {
    access: limited(ports.filter(({ role }) => role === "access"), port),
    networks: limited(networks, ({ vni, name }) =>
      ({ key: `network ${vni}`, title: `${vni} ${name}`, state: "up", search: name })),
    underlay: limited(ports.filter(({ role }) => role === "underlay"), port),
    peers: limited(peers, (peer) =>
      ({ key: peerKey(peer), title: peer.address, state: peer.state, search: peer.address })),
  };
}

function edges({ networks, peers }, isWide) {
  const list = [];
  for (const { vni, ports } of networks) {
    for (const { port } of ports) list.push([`port ${port}`, `network ${vni}`, "up"]);
  }
  for (const peer of peers) {
    const { port, state } = peer;
    if (isWide && port) list.push([`port ${port}`, peerKey(peer), state]);
    for (const vni of peer.networks) {
      if (!isWide) list.push([`network ${vni}`, peerKey(peer), state]);
      else if (port) list.push([`network ${vni}`, `port ${port}`, "up"]);
    }
  }
  return [...new Map(list.map((edge) => [`${edge[0]}\n${edge[1]}`, edge])).values()];
}

const STATES = { no_route: "no route", unresolved: "unresolved", down: "link down", gone: "interface gone" };

export class Topology {
  #drawn = "";
  #second = new Map();

  // `open` is called with what stands for a box when that is chosen.
  constructor(node, open) {
    this.node = node;
    this.open = open;
  }

  draw(world, vtep, rates) {
    const width = Math.floor(this.node.clientWidth);
    if (width < LEAST) return;
    const isWide = width >= WIDE;
    const groups = model(world);
    const lines = edges(world, isWide);
    const shape = JSON.stringify([width, vtep, groups, lines]);
    if (shape !== this.#drawn) {
      this.#drawn = shape;
      this.#build(width, isWide, groups, lines, vtep);
    }
    this.#refresh(world, rates);
  }

  #build(width, isWide, groups, lines, vtep) {
    const names = isWide ? ["access", "networks", "underlay", "peers"] : ["access", "networks", "peers"];
    const box = Math.min(200, Math.floor((width - 2 * MARGIN - (names.length - 1) * (isWide ? 40 : 18)) / names.length));
    const step = (width - 2 * MARGIN - box) / (names.length - 1);
    const tall = (name) => groups[name].nodes.length * (HEIGHT + GAP) + (groups[name].more ? 18 : 0);
    const inner = Math.max(HEIGHT + GAP, ...names.map(tall));
    const height = HEAD + inner + MARGIN;
    const places = new Map();
    const boxes = [];
    this.#second.clear();
    names.forEach((name, column) => {
      const x = MARGIN + column * step;
      let y = HEAD + (inner - tall(name)) / 2 + GAP / 2;
      for (const node of groups[name].nodes) {
        places.set(node.key, { x, y: y + HEIGHT / 2 });
        boxes.push(this.#box(node, x, y, box));
        y += HEIGHT + GAP;
      }
      if (groups[name].more) {
        boxes.push(svg("text", { class: "more", x: x + box / 2, y: y + 6 }, `and ${groups[name].more} more`));
      }
    });
    const curves = lines.flatMap(([from, to, state]) => {
      const [a, b] = [places.get(from), places.get(to)];
      if (!a || !b) return [];
      const [x, mid] = [a.x + box, (a.x + box + b.x) / 2];
      const curve = svg("path", { class: `edge ${state}`, d: `M${x} ${a.y}C${mid} ${a.y} ${mid} ${b.y} ${b.x} ${b.y}` });
      curve.ends = [from, to];
      return [curve];
    });
    const frame = MARGIN / 2 + step * (names.length - 2) + box + MARGIN;
    const underlay = isWide ? "" : groups.underlay.nodes.map(({ title }) => ` · ${title}`).join("");
    this.node.replaceChildren(svg(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Topology" },
      svg("rect", { class: "vtep", x: 1, y: 1, width: frame, height: height - 2, rx: 10 }),
      svg("text", { class: "heading", x: MARGIN, y: 22 }, `This VTEP ${vtep}${underlay}`),
      svg("text", { class: "heading peers", x: width - MARGIN, y: 22 }, "Peers"),
      curves,
      boxes,
    ));
    this.curves = curves;
  }

  #box({ key, title, state, search }, x, y, width) {
    const room = Math.floor((width - 16) / 7.3);
    const second = svg("text", { class: "second", x: 9, y: 33 });
    this.#second.set(key, second);
    const light = (on) => {
      for (const curve of this.curves) curve.classList.toggle("lit", on && curve.ends.includes(key));
    };
    const choose = (event) => {
      if (event.type === "keydown" && event.key !== "Enter") return;
      this.open(search);
    };
    return svg(
      "g",
      {
        class: `box ${key.split(" ")[0]} ${state}`, transform: `translate(${x} ${y})`, tabindex: "0", role: "link",
        "aria-label": `${title}: its MACs`,
        click: choose, keydown: choose, pointerenter: () => light(true), pointerleave: () => light(false),
        focus: () => light(true), blur: () => light(false),
      },
      svg("title", {}, title),
      svg("rect", { width, height: HEIGHT, rx: 6 }),
      svg("text", { class: "first", x: 9, y: 17 }, title.length > room ? `${title.slice(0, room - 1)}…` : title),
      second,
    );
  }

  #refresh({ ports, networks, peers }, rates) {
    const write = (key, text) => {
      const node = this.#second.get(key);
      if (node) setText(node, text);
    };
    const rate = (key, ...ways) => {
      const packets = ways.map((way) => rates.latest(`${key} ${way} packets`));
      return packets.includes(null) ? "" : ` · ${count(packets[0] + packets[1])}/s`;
    };
    for (const { name, link } of ports) {
      const [rx, tx] = ["rx", "tx"].map((way) => count(rates.latest(`${name} ${way}_packets`)));
      write(`port ${name}`, STATES[link] ?? `↓${rx} ↑${tx}`);
    }
    for (const { vni, macs_learned, macs_static } of networks) {
      const macs = macs_learned + macs_static;
      write(`network ${vni}`, `${count(macs)} MAC${macs === 1 ? "" : "s"}${rate(`network ${vni}`, "ports", "peers")}`);
    }
    for (const peer of peers) {
      const kind = `${peer.encap.toUpperCase()}${peer.learned ? ", learned" : ""}`;
      write(peerKey(peer), STATES[peer.state] ?? kind + rate(peerKey(peer), "sent", "received"));
    }
  }
}
