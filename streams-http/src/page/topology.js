// Draws the topology: sub-topologies one below the other, each laid out from left to right, topics at their edges.

import { byId, show, svg } from "./dom.js";
import { layout } from "./layout.js";
import * as words from "./words.js";

const NODE = { width: 176, storing: 236, height: 80, store: 34 };
const TOPIC = { width: 136, height: 34 };
const PAD = { x: 26, top: 46, bottom: 18, between: 34 };

const FONTS = { name: "650 13px", fact: "12px", store: "11px", topic: "600 11px" };
/** Wider drawings are made smaller, but not so that they cannot be read: then they scroll. */
const SCALE_MIN = 0.78;
const pen = document.createElement("canvas").getContext("2d");

/** The text, without its middle if it would not stay in its box. */
function cut(text, width, font) {
  pen.font = `${FONTS[font]} ${getComputedStyle(document.body).fontFamily}`;
  const fits = (one) => pen.measureText(one).width <= width;
  if (fits(text)) return text;
  for (let kept = Math.min(text.length - 1, 80); kept > 1; kept -= 1) {
    const head = Math.ceil(kept * 0.6);
    const shorter = `${text.slice(0, head)}…${text.slice(text.length - (kept - head))}`;
    if (fits(shorter)) return shorter;
  }
  return "…";
}

/** Sub-topologies in the order in which records pass them, else by number. */
function inOrder(parts) {
  const topics = (part, kind) => part.nodes.filter((node) => node.kind === kind).flatMap((node) => node.topics);
  const depth = new Map(parts.map((part) => [part, 0]));
  for (let round = 0; round < parts.length; round += 1) {
    for (const from of parts) {
      for (const to of parts) {
        if (from === to || !topics(from, "sink").some((topic) => topics(to, "source").includes(topic))) continue;
        depth.set(to, Math.min(parts.length, Math.max(depth.get(to), depth.get(from) + 1)));
      }
    }
  }
  return [...parts].sort((one, two) => depth.get(one) - depth.get(two) || one.id - two.id);
}

/** Places of everything. Depends on the graph only, so it is made once. */
export function plan(graph) {
  let top = 0;
  const blocks = inOrder(graph.subtopologies).map((part) => {
    const nodes = part.nodes.map((node) => ({
      id: node.name, node, width: node.stores.length ? NODE.storing : NODE.width, height: NODE.height + node.stores.length * NODE.store,
    }));
    const edges = part.nodes.flatMap((node) => node.successors.map((next) => [node.name, next]));
    const topics = new Map();
    const topic = (name, side) => {
      const id = `${side} ${name}`;
      if (!topics.has(id)) topics.set(id, { id, topic: name, side, ...TOPIC });
      return id;
    };
    for (const node of part.nodes) {
      const names = node.topics.length ? node.topics : node.chosen_by ? [node.chosen_by] : [];
      if (node.kind === "source") names.forEach((name) => edges.push([topic(name, "in"), node.name]));
      if (node.kind === "sink") names.forEach((name) => edges.push([node.name, topic(name, "out")]));
    }
    const items = [...nodes, ...topics.values()];
    const laid = layout(items, edges, { gapX: 46 });
    const block = { part, items, laid, top, height: laid.height + PAD.top + PAD.bottom, width: laid.width + PAD.x * 2 };
    top += block.height + PAD.between;
    return block;
  });
  return { blocks, width: Math.max(320, ...blocks.map((block) => block.width)), height: Math.max(0, top - PAD.between) };
}

function curve(points) {
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (let at = 1; at < points.length; at += 1) {
    const [[x0, y0], [x1, y1]] = [points[at - 1], points[at]];
    const half = (x0 + x1) / 2;
    path += ` C${half} ${y0} ${half} ${y1} ${x1} ${y1}`;
  }
  return path;
}

/** What is told of a node beside its name and its busy share. */
function facts(figures) {
  const list = [];
  if (figures.rate !== null) list.push(words.rate(figures.rate));
  if (figures.lag !== null) list.push(`lag ${words.short(figures.lag)}`);
  return list;
}

const storeText = (store) => (store.restore
  ? `restoring ${words.percent(store.restore.restored / Math.max(1, store.restore.restored + store.restore.left))}`
  : store.places.length ? `${words.bytes((store.memory ?? 0) + (store.engine ?? 0))}` : "not here");

function drawNode(place, node, part, selected, choose) {
  const figures = part.figures.get(node.name);
  const told = facts(figures);
  const busy = figures.busy === null ? [] : [`busy ${words.share(figures.busy)}`];
  const stores = figures.stores.map((store) => `store ${store.name} ${storeText(store)}`);
  const label = [node.kind, node.name, ...told, ...busy, ...stores].join(", ");
  const behind = figures.lag > 0 ? " behind" : "";
  return svg("g", {
    class: `node ${node.kind}${selected === node.name ? " selected" : ""}${behind}`, transform: `translate(${place.x} ${place.y})`,
    tabindex: 0, role: "button", "aria-label": label, "aria-pressed": String(selected === node.name), "data-key": `node ${node.name}`,
    onclick: () => choose(node.name),
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(node.name);
    },
  },
  svg("title", {}, node.name),
  svg("rect", { class: "box", width: place.width, height: place.height, rx: 10 }),
  svg("rect", { class: "edge", width: 4, height: NODE.height - 24, x: 8, y: 12, rx: 2 }),
  svg("text", { class: "name", x: 22, y: 26 }, cut(words.node(node.name), place.width - 32, "name")),
  svg("text", { class: "fact", x: 22, y: 46 }, told.length ? cut(told.join("  ·  "), place.width - 32, "fact") : node.kind),
  figures.busy === null ? null : drawBusy(figures.busy, part, place.width),
  figures.stores.map((store, at) => drawStore(store, NODE.height + at * NODE.store - 4, place.width)));
}

function meter(share, width, height) {
  return [
    svg("rect", { class: "meter", width, height, rx: height / 2 }),
    svg("rect", { class: "meter-fill", width: Math.max(2, width * Math.min(1, share)), height, rx: height / 2 }),
  ];
}

function drawBusy(busy, part, width) {
  const length = width - 22 - 56;
  return svg("g", { transform: "translate(22 58)" },
    svg("title", {}, `busy ${words.share(busy)}: its own work as a share ${words.ofThreads(part)}`),
    meter(busy, length, 6),
    svg("text", { class: "busy", x: width - 34, y: 7 }, words.share(busy)));
}

function drawStore(store, y, width) {
  const done = store.restore ? store.restore.restored / Math.max(1, store.restore.restored + store.restore.left) : null;
  const size = storeText(store);
  pen.font = `650 11px ${getComputedStyle(document.body).fontFamily}`;
  const room = width - 65 - pen.measureText(size).width;
  return svg("g", { class: "store", transform: `translate(12 ${y})` },
    svg("title", {}, `store ${store.name}`),
    svg("rect", { class: "store-box", width: width - 24, height: 26, rx: 6 }),
    done === null ? null : svg("rect", { class: "store-done", width: (width - 24) * done, height: 26, rx: 6 }),
    svg("path", { class: "drum", d: "M8 9c0-3.500 10-3.500 10 0v8c0 3.500-10 3.500-10 0zM8 9c0 3 10 3 10 0" }),
    svg("text", { class: "store-name", x: 25, y: 17 }, cut(store.name, room, "store")),
    svg("text", { class: "store-size", x: width - 32, y: 17 }, size));
}

function drawTopic(place, item) {
  const { width, height } = place;
  return svg("g", { class: "topic", transform: `translate(${place.x} ${place.y})` },
    svg("title", {}, `topic ${item.topic}`),
    svg("rect", { width, height, rx: height / 2 }),
    svg("text", { x: width / 2, y: height / 2 + 4 }, cut(item.topic, width - 22, "topic")));
}

function drawBlock(block, width, part, selected, choose) {
  const { laid, items } = block;
  const place = (id) => laid.places.get(id);
  const told = [part.global ? "global store, on every instance" : words.plural(part.tasks.length, "task") + " here"];
  if (part.rate !== null) told.push(words.rate(part.rate));
  if (part.busy !== null) told.push(`busy ${words.share(part.busy)}`);
  if (part.restoring) told.push(`${part.restoring} restoring`);
  const busy = Math.min(1, part.busy ?? 0);
  return svg("g", { transform: `translate(0 ${block.top})` },
    svg("rect", { class: "part", width, height: block.height, rx: 14 }),
    svg("text", { x: PAD.x, y: 27 }, svg("tspan", { class: "part-name" }, `Sub-topology ${part.id}`),
      svg("tspan", { class: "part-facts", dx: 14 }, told.join("  ·  "))),
    part.busy === null ? null : svg("g", { transform: `translate(${width - PAD.x - 120} 19)`, role: "img", "aria-label": `busy ${words.share(busy)}` },
      svg("title", {}, `busy ${words.share(busy)}: the sum of its nodes`),
      meter(busy, 120, 8)),
    svg("g", { transform: `translate(${PAD.x} ${PAD.top})` },
      laid.ways.map((way) => svg("path", { class: "way", d: curve(way.points), "marker-end": "url(#arrow)" })),
      items.map((item) => (item.topic === undefined ? drawNode(place(item.id), item.node, part, selected, choose) : drawTopic(place(item.id), item)))));
}

/** Between a topic that one sub-topology writes and another reads. */
function drawLinks(planned) {
  const ends = (side) => planned.blocks.flatMap((block) => block.items.filter((item) => item.side === side).map((item) => {
    const place = block.laid.places.get(item.id);
    return { topic: item.topic, block, x: place.x + PAD.x, y: place.y + PAD.top + block.top, width: place.width, height: place.height };
  }));
  const starts = ends("in");
  const pairs = ends("out").flatMap((from) => starts.filter((to) => to.topic === from.topic && to.block !== from.block).map((to) => [from, to]));
  // Out to the right, between the blocks to the left, and in: on ways where nothing stands, each a little beside the others.
  return pairs.map(([from, to], index) => {
    const down = to.block.top > from.block.top;
    const aside = (index % 4) * 4;
    const [x0, y0] = [from.x + from.width, from.y + from.height / 2];
    const [x1, y1] = [to.x, to.y + to.height / 2];
    const [right, left] = [x0 + 6 + aside, 4 + aside];
    const between = (down ? to.block.top - PAD.between / 2 : to.block.top + to.block.height + PAD.between / 2) + aside - 6;
    const turn = down ? 8 : -8;
    const path = `M${x0} ${y0}H${right - 4}Q${right} ${y0} ${right} ${y0 + turn}V${between - turn}Q${right} ${between} ${right - 8} ${between}`
      + `H${left + 8}Q${left} ${between} ${left} ${between + turn}V${y1 - turn}Q${left} ${y1} ${left + 4} ${y1}H${x1}`;
    return svg("path", { class: "link", d: path, "marker-end": "url(#arrow)" });
  });
}

/** What the meters mean, what threads do outside of nodes, and why nodes have no rate. */
function legend(parts, work) {
  const list = [];
  if (work?.samples) {
    const outside = Object.entries(work.threads).map(([what, share]) => `${what} ${words.share(share)}`);
    list.push(`Busy: share of the time of all stream threads. Outside of nodes: ${outside.join(", ")}.`);
  }
  const unrated = parts.some((part) => part.nodes.some((node) => node.kind === "processor" && part.figures.get(node.name).rate === null));
  if (unrated) list.push("Rates of processors are measured with metrics.recording.level=DEBUG.");
  return list.join(" ");
}

/** Draws what `parts` say at the places of `planned`. */
export function draw(planned, parts, selected, choose, work) {
  const { width, height } = planned;
  const scale = Math.min(1, Math.max(SCALE_MIN, byId("drawing").clientWidth / (width + 2)));
  const [wide, high] = [Math.floor((width + 2) * scale), Math.ceil((height + 2) * scale)];
  const figures = (block) => parts.find((part) => part.id === block.part.id);
  const image = svg("svg", { class: "topology", viewBox: `-1 -1 ${width + 2} ${height + 2}`, width: wide, height: high, role: "group", "aria-label": "Nodes of the topology" },
    planned.blocks.map((block) => drawBlock(block, width, figures(block), selected, choose)), drawLinks(planned));
  show(byId("drawing"), image);
  byId("legend").textContent = legend(parts, work);
}
