// Elements from data. Text goes in as text, attributes as attributes: whatever a topic or key is called, it is never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element; functions under `onclick` and the like become listeners. */
export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element. */
export const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Replaces what is in `place`, unless it would be the same: focus and selection stay where they are. */
export function show(place, ...children) {
  const next = place.cloneNode(false);
  fill(next, {}, children);
  if (next.isEqualNode(place)) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...next.childNodes);
  if (focused === undefined) return;
  for (const candidate of place.querySelectorAll("[data-key]")) {
    if (candidate.dataset.key === focused) candidate.focus({ preventScroll: true });
  }
}

/** A table: heads are texts, or [text, "number"] for columns of figures. */
export function table(caption, heads, rows) {
  const numeric = heads.map((head) => Array.isArray(head));
  const text = (head) => (Array.isArray(head) ? head[0] : head);
  const cell = (content, column) => {
    const attributes = { class: numeric[column] ? "number" : null, "data-head": text(heads[column]) };
    return column === 0 ? el("th", { ...attributes, scope: "row" }, content) : el("td", attributes, content);
  };
  return el("table", {},
    el("caption", { class: "hidden" }, caption),
    el("thead", {}, el("tr", {}, heads.map((head, column) =>
      el("th", { scope: "col", class: numeric[column] ? "number" : null }, text(head))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))));
}
