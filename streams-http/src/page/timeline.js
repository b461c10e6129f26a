// What happened to the instance: its state, its threads and how many tasks they had, as bands over time and as a list.

import { byId, el, show, svg } from "./dom.js";
import * as words from "./words.js";

const LISTED = 8;
const ROW = 34;
const LEFT = 96;

/** Bands of each lane: [{ from, to, word, note }]. */
function lanes(events, now) {
  const lanes = new Map();
  const lane = (name) => lanes.get(name) ?? lanes.set(name, []).get(name);
  const enter = (name, at, next) => {
    const bands = lane(name);
    const last = bands.at(-1);
    if (last) last.to = at;
    bands.push({ from: at, to: now, ...next });
  };
  for (const event of events) {
    if (event.kind === "state") enter("Instance", event.at, { word: event.state, note: "" });
    if (event.kind === "thread") enter(event.thread, event.at, { word: event.state, note: lane(event.thread).at(-1)?.note ?? "" });
    if (event.kind === "tasks") {
      const restoring = event.restoring.length ? `, ${event.restoring.length} restoring` : "";
      const word = lane(event.thread).at(-1)?.word ?? "PARTITIONS_REVOKED";
      enter(event.thread, event.at, { word, note: `${words.plural(event.active.length, "task")}${restoring}` });
    }
  }
  return [...lanes].sort(([one], [two]) => (one === "Instance" ? -1 : two === "Instance" ? 1 : one.localeCompare(two, "en", { numeric: true })));
}

function drawBand(band, x, y) {
  const [left, width] = [x(band.from), Math.max(2, x(band.to) - x(band.from))];
  const { sign, tone } = words.state(band.word);
  const text = `${sign} ${band.note || band.word}`;
  return svg("g", {},
    svg("title", {}, `${band.word}${band.note ? `, ${band.note}` : ""}: ${words.clock(band.from)} to ${words.clock(band.to)}, ${words.lasting(band.to - band.from)}`),
    svg("rect", { class: `band ${tone}`, x: left, y, width, height: ROW - 10, rx: 4 }),
    width > text.length * 7 + 8 ? svg("text", { class: `band-text ${tone}`, x: left + 7, y: y + 16 }, text) : null);
}

function told(event) {
  if (event.kind === "state") return `the instance is ${event.state}`;
  if (event.kind === "thread") return `${event.thread} is ${event.state}`;
  const restoring = event.restoring.length ? `; ${event.restoring.join(", ")} restoring` : "";
  return event.active.length ? `${event.thread} has ${words.plural(event.active.length, "task")}: ${event.active.join(", ")}${restoring}` : `${event.thread} has no tasks`;
}

export function showTimeline(events, now) {
  if (!events?.length) {
    show(byId("timeline"), el("p", { class: "quiet" }, events ? "Nothing has happened yet." : "This instance keeps no history."));
    return;
  }
  const first = events[0].at;
  const end = Math.max(now, events.at(-1).at + 1000);
  const width = Math.max(280, byId("timeline").clientWidth);
  const x = (at) => LEFT + ((at - first) * (width - LEFT)) / Math.max(1, end - first);
  const rows = lanes(events, end);
  const height = rows.length * ROW + 20;
  const marks = (width < 450 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]).map((part) => first + (end - first) * part);
  show(byId("timeline"),
    svg("svg", { class: "timeline", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `States of the instance and its threads since ${words.clock(first)}` },
      marks.map((at, index) => svg("line", { class: "tick", x1: x(at), x2: x(at), y1: 0, y2: height - 18, "data-tick": index })),
      rows.map(([name, bands], at) => svg("g", {}, svg("text", { class: "lane", x: 0, y: at * ROW + 21 }, name.replace("StreamThread-", "Thread ")),
        bands.map((band) => drawBand(band, x, at * ROW + 5)))),
      marks.map((at, index) => svg("text", { class: "tick-text", x: x(at), y: height - 3, "text-anchor": index === marks.length - 1 ? "end" : index === 0 ? "start" : "middle" }, words.clock(at)))),
    el("ol", { class: "events", "aria-label": "Last events, newest first" }, events.slice(-LISTED).reverse().map((event) =>
      el("li", {}, el("time", { datetime: new Date(event.at).toISOString() }, words.clock(event.at)), " ", told(event)))));
}
