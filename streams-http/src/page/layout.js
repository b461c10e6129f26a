// A layered layout, left to right: nodes in, places out. Small on purpose: topologies are narrow and have few crossings.
//
// 1. layer = longest way from a node without predecessors; 2. edges over several layers get bends in between; 3. order within a layer by
// the mean place of neighbours, swept to and fro; 4. nodes move towards their neighbours as far as those beside them let them.

const SWEEPS = 8;

/**
 * `nodes`: [{ id, width, height }], `edges`: [[from, to]].
 * Gives { width, height, places: Map(id -> { x, y, width, height }), ways: [{ from, to, points: [[x, y]] }] }.
 */
export function layout(nodes, edges, { gapX = 56, gapY = 18 } = {}) {
  const cells = new Map(nodes.map((node) => [node.id, { ...node, before: [], after: [], layer: 0 }]));
  const known = edges.filter(([from, to]) => from !== to && cells.has(from) && cells.has(to));
  assignLayers(cells, known);
  const chains = known.map(([from, to]) => bend(cells, from, to));
  const byLayer = [];
  for (const cell of cells.values()) (byLayer[cell.layer] ??= []).push(cell);
  const layers = byLayer.filter(Boolean);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) order(layers, sweep % 2 === 0);
  const height = place(layers, gapY);
  let x = 0;
  for (const layer of layers) {
    const width = Math.max(...layer.map((cell) => cell.width));
    for (const cell of layer) Object.assign(cell, { x, room: width });
    x += width + gapX;
  }
  const ways = chains.map((chain) => ({ from: chain[0].id, to: chain.at(-1).id, points: points(chain) }));
  const places = new Map(nodes.map(({ id }) => [id, cells.get(id)]));
  return { width: Math.max(0, x - gapX), height, places, ways };
}

function assignLayers(cells, edges) {
  // Bounded, so that a cycle, which no topology has, ends as well.
  for (let round = 0, moved = true; moved && round <= cells.size; round += 1) {
    moved = false;
    for (const [from, to] of edges) {
      const layer = cells.get(from).layer + 1;
      if (cells.get(to).layer < layer && layer < cells.size) {
        cells.get(to).layer = layer;
        moved = true;
      }
    }
  }
}

function bend(cells, from, to) {
  const chain = [cells.get(from)];
  for (let layer = chain[0].layer + 1; layer < cells.get(to).layer; layer += 1) {
    const cell = { id: Symbol("bend"), width: 0, height: 6, before: [], after: [], layer };
    cells.set(cell.id, cell);
    chain.push(cell);
  }
  chain.push(cells.get(to));
  chain.forEach((cell, at) => {
    if (at === 0) return;
    cell.before.push(chain[at - 1]);
    chain[at - 1].after.push(cell);
  });
  return chain;
}

function order(layers, forward) {
  for (const layer of layers) layer.forEach((cell, at) => { cell.rank = at; });
  const sequence = forward ? layers.slice(1) : layers.slice(0, -1).reverse();
  for (const layer of sequence) {
    for (const cell of layer) {
      const others = forward ? cell.before : cell.after;
      cell.wish = others.length ? others.reduce((sum, other) => sum + other.rank, 0) / others.length : cell.rank;
    }
    layer.sort((one, two) => one.wish - two.wish || one.rank - two.rank);
    layer.forEach((cell, at) => { cell.rank = at; });
  }
}

const middle = (cell) => cell.y + cell.height / 2;

function place(layers, gap) {
  for (const layer of layers) {
    let y = 0;
    for (const cell of layer) {
      cell.y = y;
      y += cell.height + gap;
    }
  }
  for (let sweep = 0; sweep < SWEEPS * 2; sweep += 1) {
    for (const layer of sweep % 2 === 0 ? layers : [...layers].reverse()) pull(layer, gap);
  }
  const all = layers.flat();
  const top = Math.min(...all.map((cell) => cell.y));
  for (const cell of all) cell.y -= top;
  return Math.max(0, ...all.map((cell) => cell.y + cell.height));
}

/** Each cell to the mean of its neighbours, then apart again: half of what is missing up, half down. */
function pull(layer, gap) {
  for (const cell of layer) {
    const others = [...cell.before, ...cell.after];
    if (others.length) cell.y = others.reduce((sum, other) => sum + middle(other), 0) / others.length - cell.height / 2;
  }
  for (let round = 0; round < layer.length; round += 1) {
    for (let at = 1; at < layer.length; at += 1) {
      const missing = layer[at - 1].y + layer[at - 1].height + gap - layer[at].y;
      if (missing > 0) {
        layer[at - 1].y -= missing / 2;
        layer[at].y += missing / 2;
      }
    }
  }
  for (let at = 1; at < layer.length; at += 1) {
    layer[at].y = Math.max(layer[at].y, layer[at - 1].y + layer[at - 1].height + gap);
  }
}

function points(chain) {
  const list = [];
  chain.forEach((cell, at) => {
    const y = middle(cell);
    if (at > 0) list.push([cell.x, y]);
    if (at < chain.length - 1) list.push([cell.x + (at === 0 ? cell.width : cell.room), y]);
  });
  return list;
}
