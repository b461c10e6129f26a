// The page: asks the instance once a second while somebody looks, and hands the answers to those who show them.

import { json, metrics } from "./ask.js";
import { byId } from "./dom.js";
import { showBanners, showState, showTiles } from "./instance.js";
import { showLetters } from "./letters.js";
import { showLookup } from "./lookup.js";
import { note, parts } from "./model.js";
import { showNode, showTable } from "./node.js";
import { Rates } from "./rates.js";
import { showRestores, showTasks } from "./tasks.js";
import { showTimeline } from "./timeline.js";
import { draw, plan } from "./topology.js";

const EVERY_MS = 1000;
const rates = new Rates();
let graph = null;
let planned = null;
let last = null;
/** A button is held down: what it is over must still be there when it is let go, or there is no click. */
let pressed = false;

/** `#node=NAME` and `#lookup=STORE/KEY` lead to a node and to a key. */
function hash() {
  const [, name, value] = /^#(node|lookup)=(.*)$/.exec(location.hash) ?? [];
  const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  if (name === "node") return { node: decoded(value), lookup: null };
  if (name !== "lookup") return { node: null, lookup: null };
  const slash = value.indexOf("/");
  return { node: null, lookup: slash < 0 ? [decoded(value), ""] : [decoded(value.slice(0, slash)), decoded(value.slice(slash + 1))] };
}

function choose(node) {
  history.replaceState(null, "", node === null || node === hash().node ? "#" : `#node=${encodeURIComponent(node)}`);
  render();
}

async function ask() {
  if (graph === null) {
    graph = await json("topology/graph");
    planned = graph && plan(graph);
  }
  const [status, work, ready, samples, history, failures, topology] = await Promise.all([
    json("status"), json("work"), json("health/ready"), metrics(), json("history"), json("failures"), last?.topology ?? json("topology/json")]);
  if (status === null) throw new Error("this is no application of kstreams: there is no /status");
  const at = status.at ?? Date.now();
  note(rates, status, samples, at);
  return { status, work, ready, samples, history, failures, topology, at };
}

function render(failure = null) {
  showBanners(last?.status ?? null, last?.ready ?? null, failure);
  if (last === null) return;
  const { status, work, samples, history, failures, topology, at } = last;
  showState(status, failure === null, at);
  showTiles(status, rates, failures);
  showRestores(status);
  if (graph) {
    const all = parts(graph, status, rates, samples, work);
    draw(planned, all, hash().node, choose, work);
    showNode(all, hash().node, choose);
    showTable(all);
  }
  showTimeline(history, at);
  showTasks(status, rates);
  showLetters(failures);
  showLookup(topology?.stores ?? {}, hash().lookup);
}

async function round() {
  try {
    last = await ask();
    if (!pressed) render();
  } catch (error) {
    render(`${error.message}. Figures below, if any, are old; asking again.`);
  }
  setTimeout(next, EVERY_MS);
}

/** Nobody looks: nothing is asked. */
function next() {
  if (document.hidden) document.addEventListener("visibilitychange", next, { once: true });
  else round();
}

const THEMES = ["system", "light", "dark"];

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme === "system" ? "as the system" : theme}`;
}

/** A browser may forbid the page to keep anything. */
function kept(theme) {
  try {
    if (theme !== undefined) localStorage.setItem("theme", theme);
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

const asked = new URLSearchParams(location.search).get("theme") ?? kept();
showTheme(THEMES.includes(asked) ? asked : "system");
byId("theme").addEventListener("click", () => {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  showTheme(theme);
  kept(theme);
});
window.addEventListener("hashchange", () => render());
window.addEventListener("pointerdown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => { pressed = false; });
window.addEventListener("resize", () => render());
round();
