// The page: its views, its keys, and the reading of the API once a second.

import { get, setToken } from "./api.js";
import { Config } from "./config.js";
import { byId, setText } from "./dom.js";
import { Log } from "./events.js";
import { duration } from "./format.js";
import { Macs } from "./macs.js";
import { Overview, counters } from "./overview.js";
import { Rates } from "./rates.js";
import { Trace } from "./trace.js";

const PERIOD = 1000;
const LISTS = ["ports", "networks", "peers", "workers", "drops", "totals"];

const rates = new Rates();
const log = new Log();
const macs = new Macs();
const trace = new Trace();
const config = new Config();
const overview = new Overview((text) => {
  macs.lookFor(text);
  location.hash = "macs";
});

const views = [...document.querySelectorAll("main > section")];
const links = [...document.querySelectorAll("nav a")];
const shown = () => views.find(({ hidden }) => !hidden).id;

function showView() {
  const wanted = views.some(({ id }) => `#${id}` === location.hash) ? location.hash.slice(1) : "overview";
  for (const view of views) view.hidden = view.id !== wanted;
  for (const link of links) {
    if (link.hash === `#${wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (wanted === "macs") macs.show();
  if (wanted === "config") config.show();
  if (wanted === "events") log.draw(true);
  if (wanted === "overview") draw();
}

let world;
let vtep = "";
let uptime = 0;
let answered = Date.now();
let isLive = false;
let isListening = false;

function status(kind, text) {
  byId("status").className = kind;
  setText(byId("status").lastElementChild, text);
}

function draw() {
  if (world && shown() === "overview") overview.draw(world.time, world, vtep, rates);
  if (shown() === "events") log.draw(false);
}

// What is the same for as long as a process runs, and what is said when one is found.
async function meet(totals) {
  const [version, running] = await Promise.all([get("/v1/version"), get("/v1/config")]);
  const { ipv4, ipv6 } = running.underlay.vtep;
  vtep = [ipv4, ipv6].filter(Boolean).join(" ");
  setText(byId("version"), `Ferry ${version.ferry}, DPDK ${version.dpdk}`);
  document.title = vtep ? `Ferry ${vtep}` : "Ferry";
  if (world && totals.uptime_seconds < uptime) log.add("restart", "Ferry was started anew: its counters begin at zero");
  else if (world) log.add("restart", "Ferry answers again");
}

async function read() {
  const lists = await Promise.all(LISTS.map((name) => get(`/v1/${name}`)));
  const next = Object.fromEntries(LISTS.map((name, at) => [name, lists[at]]));
  if (!isLive || next.totals.uptime_seconds < uptime) {
    rates.forget();
    await meet(next.totals);
  }
  const now = Date.now();
  next.time = now / 1000;
  rates.read(next.time, counters(next));
  [world, uptime, answered, isLive] = [next, next.totals.uptime_seconds, now, true];
  if (!isListening) log.listen();
  isListening = true;
  macs.offer(next.networks);
  trace.offer(next.ports);
  status("live", "live");
  byId("lost").hidden = true;
}

function lose({ status: code, message }) {
  if (code === 401) return ask();
  if (isLive) log.add("lost", code ? message : "Ferry does not answer any more");
  isLive = false;
  status("lost", "no answer");
  const since = duration(Math.round((Date.now() - answered) / 1000));
  const what = code ? `Ferry cannot answer: ${message}` : `No answer from Ferry for ${since}`;
  setText(byId("lost"), `${what}. What you see is old; this page asks again each second.`);
  byId("lost").hidden = false;
}

const login = byId("login");
let given = () => {};

// Waits for a token.
function ask() {
  status("waiting", "token needed");
  setText(byId("login-error"), sessionStorage.length ? "This token is not the right one." : "");
  login.showModal();
  return new Promise((done) => (given = done));
}

login.addEventListener("cancel", (event) => event.preventDefault());
login.addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(byId("login-token").value.trim());
  byId("login-token").value = "";
  login.close();
  given();
});

async function poll() {
  for (;;) {
    // A page that nobody sees costs Ferry nothing.
    if (!document.hidden) {
      try {
        await read();
      } catch (error) {
        if (error.status === undefined) console.error(error);
        await lose(error);
      }
      draw();
    }
    await new Promise((done) => setTimeout(done, PERIOD));
  }
}

const THEME = "ferry-theme";

function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
}

function otherTheme() {
  const isDark = getComputedStyle(document.documentElement).getPropertyValue("color-scheme") === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const name = isDark ? "light" : "dark";
  theme(name);
  localStorage.setItem(THEME, name);
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select");
  if (event.key === "Escape" && isTyping && !login.open) event.target.blur();
  if (isTyping || login.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const link = links[Number(event.key) - 1];
  if (link) link.click();
  else if (event.key === "d") otherTheme();
  else if (event.key === "/") {
    event.preventDefault();
    if (!byId(shown()).querySelector("[type=search]")) location.hash = "macs";
    // The view changes first.
    setTimeout(() => byId(shown()).querySelector("input")?.focus());
  }
});

byId("theme").addEventListener("click", otherTheme);
window.addEventListener("hashchange", showView);
window.addEventListener("resize", draw);
theme(localStorage.getItem(THEME));
showView();
poll();
