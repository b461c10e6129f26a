// One node in full, and all of them as a table.

import { byId, el, show, table } from "./dom.js";
import * as words from "./words.js";

/** The node that was chosen, below the drawing. */
export function showNode(parts, name, choose) {
  const part = parts.find((one) => one.figures.has(name));
  const place = byId("node");
  place.hidden = name === null;
  if (name === null) return;
  const close = el("button", { type: "button", class: "close", "data-key": "close", onclick: () => choose(null) }, "Close");
  if (!part) {
    show(place, el("h3", {}, name), el("p", {}, "There is no node of this name in the topology."), close);
    return;
  }
  const node = part.nodes.find((one) => one.name === name);
  const figures = part.figures.get(name);
  const places = figures.stores.flatMap((store) => store.places.map((one) => [
    store.name, one.task, words.bytes(one.memory_bytes), words.bytes(one.engine_bytes),
    one.restore ? `${words.count(one.restore.left)} left` : "complete",
  ]));
  show(place,
    el("h3", {}, name), close,
    el("p", {}, `${node.kind} of sub-topology ${part.id}`, ...[
      figures.rate === null ? "" : ` · ${words.rate(figures.rate)}`,
      figures.lag === null ? "" : ` · ${words.plural(figures.lag, "record")} behind`,
      figures.busy === null ? "" : ` · busy ${words.share(figures.busy)}, its own work as a share ${words.ofThreads(part)}`,
      node.topics.length ? ` · ${node.kind === "sink" ? "writes" : "reads"} ${node.topics.join(", ")}` : "",
      node.chosen_by ? ` · topics chosen by ${node.chosen_by}` : "",
    ]),
    node.successors.length ? el("p", {}, "Hands on to ", node.successors.map((next, at) => [at ? ", " : "",
      el("button", { type: "button", class: "link", "data-key": `next ${next}`, onclick: () => choose(next) }, next)])) : null,
    figures.busyTasks.length ? table("Tasks that are busy with the node", ["Task", ["Share of its thread"]],
      figures.busyTasks.map((task) => [task.id, words.share(task.share)])) : null,
    figures.inputs.length ? table("Inputs of the node", ["Task", "Input", ["Position"], ["End"], ["Lag"], ["Rate"]],
      figures.inputs.map((input) => [input.task, `${input.topic}-${input.partition}`, words.count(input.position),
        words.count(input.end), words.count(input.lag), words.rate(input.rate)])) : null,
    places.length ? table("Stores of the node", ["Store", "Task", ["Memory"], ["Engine"], "State"], places) : null);
}

/** All nodes: what the drawing shows, for those who do not see it and for narrow screens. */
export function showTable(parts) {
  const rows = parts.flatMap((part) => part.nodes.map((node) => {
    const figures = part.figures.get(node.name);
    const size = figures.stores.length
      ? words.bytes(figures.stores.reduce((sum, store) => sum + (store.memory ?? 0) + (store.engine ?? 0), 0)) : "";
    return [node.name, node.kind, String(part.id), node.topics.concat(node.chosen_by ?? []).join(", "), figures.rate === null ? "" : words.rate(figures.rate),
      figures.lag === null ? "" : words.count(figures.lag), figures.busy === null ? "" : words.share(figures.busy),
      figures.stores.map((store) => store.name).join(", "), size];
  }));
  show(byId("node-table"), table("Nodes of the topology",
    ["Node", "Kind", "Sub-topology", "Topics", ["Rate"], ["Lag"], ["Busy"], "Stores", ["State size"]], rows));
}
