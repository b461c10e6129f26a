// The instance as a whole: name, state, what is wrong, and its figures in tiles.

import { byId, el, show, svg } from "./dom.js";
import * as words from "./words.js";

const trace = [];

/** Name and state. `answered`: whether the last question was. */
export function showState(status, answered, at) {
  const { sign, tone } = words.state(status.state);
  const pill = byId("state");
  pill.className = `pill ${answered ? tone : "off"}`;
  pill.textContent = `${sign} ${status.state}`;
  byId("application").textContent = status.application_id;
  document.title = `${sign} ${status.application_id} · ${status.state}`;
  byId("since").textContent = `${answered ? "seen" : "last seen"} ${words.clock(at)} · ${words.plural(status.threads.length, "thread")}`;
}

/** What keeps the instance from its work. */
export function showBanners(status, ready, failure) {
  const banners = [];
  if (failure) banners.push(["bad", "No answer", failure]);
  if (status?.error) banners.push(["bad", `Stopped by an error`, status.error]);
  else if (status?.state === "ERROR" || status?.state === "PENDING_ERROR") banners.push(["bad", status.state, "See the log of the application."]);
  if (status && !status.error && ready?.reasons?.length) banners.push(["wait", "Not ready", ready.reasons.join("; ")]);
  show(byId("banners"), banners.map(([tone, title, text]) =>
    el("p", { class: `banner ${tone}`, role: tone === "bad" ? "alert" : null }, el("strong", {}, `${tone === "bad" ? "▲" : "↻"} ${title}`), " ", text)));
}

function spark(values) {
  if (values.length < 2) return null;
  const most = Math.max(1, ...values);
  const points = values.map((value, at) => `${((at * 100) / (values.length - 1)).toFixed(1)},${(25 - (value * 22) / most).toFixed(1)}`);
  return svg("svg", { class: "spark", viewBox: "0 0 100 26", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polygon", { points: `0,26 ${points.join(" ")} 100,26` }), svg("polyline", { points: points.join(" ") }));
}

const tile = (name, figure, note, ...more) => el("div", { class: "tile" }, el("p", { class: "tile-name" }, name),
  el("p", { class: "figure" }, figure), el("p", { class: "quiet" }, note), more);

export function showTiles(status, rates, failures) {
  const { records, memory } = status;
  const tasks = status.threads.flatMap((thread) => thread.tasks);
  const rate = rates.of("processed");
  if (rate !== null) trace.push(rate);
  if (trace.length > 90) trace.shift();
  const used = memory.state_bytes;
  show(byId("tiles"),
    tile("Processed", words.rate(rate), `${words.count(records.processed)} records in all`, spark(trace)),
    tile("Lag", words.short(records.lag), records.lag > 0 ? "records behind the inputs" : "at the ends of the inputs"),
    tile("Sent", words.rate(rates.of("produced")), `${words.count(records.produced)} records, ${words.count(records.commits)} commits`),
    tile("Tasks", words.count(tasks.length), `on ${words.plural(status.threads.length, "thread")}${status.restore.tasks ? `, ${status.restore.tasks} restoring` : ""}`),
    tile("State", words.bytes(used + memory.engine_bytes), `${words.bytes(used)} in memory, ${words.bytes(memory.engine_bytes)} in engines`),
    tile("Memory", words.bytes(memory.process_bytes), `process; budget of the library ${words.bytes(memory.max_bytes)}`,
      el("progress", { max: memory.max_bytes, value: Math.min(used, memory.max_bytes), "aria-label": "Stores' part of the memory budget" })),
    tile("Dropped", words.count(records.dropped), failures
      ? `${words.plural(failures.dead_letters, "dead letter")}, ${words.plural(records.rewinds, "rewind")}` : words.plural(records.rewinds, "rewind")));
}
