// Looks a key up in the stores that the instance shows over HTTP: `/stores` says which, and how they can be asked.

import { json, question } from "./ask.js";
import { byId, el, show, table } from "./dom.js";
import * as words from "./words.js";

let shown;
let asked = null;

/** Times of rows are ms since the epoch: as text, and exactly. */
const time = (ms) => (Number.isSafeInteger(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString().replace("T", " ").replace("Z", "") : String(ms));
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));
const FORMS = {
  key: ["Key", text], value: ["Value", text], partition: ["Partition", String], timestamp: ["Timestamp", time], start: ["From", time],
  end: ["To", time], valid_from: ["Valid from", time], valid_to: ["Valid to", (ms) => (ms === null ? "now" : time(ms))],
};

function rowsTable(rows) {
  const fields = Object.keys(FORMS).filter((field) => rows.some((row) => row[field] !== undefined));
  return table("What the store has", fields.map((field) => FORMS[field][0]),
    rows.map((row) => fields.map((field) => (row[field] === undefined ? "" : el("code", {}, FORMS[field][1](row[field]))))));
}

async function lookUp(store, key) {
  const place = byId("lookup-answer");
  const path = shown?.find((one) => one.store === store)?.paths.find((one) => one.endsWith("/{key}"));
  if (path === undefined) {
    show(place, el("p", { class: "banner wait" }, `Store ${store} is not shown by this instance.`));
    return;
  }
  show(place, el("p", { class: "quiet" }, "asking …"));
  const kind = path.split("/").at(-2);
  try {
    const { code, body } = await question(`stores/${encodeURIComponent(store)}/${kind}/${encodeURIComponent(key)}`);
    const rows = body.rows ?? (body.row ? [body.row] : []);
    if (code !== 200) show(place, el("p", { class: `banner ${code === 404 ? "wait" : "bad"}` }, body.error ?? `The instance answers ${code}.`));
    else if (!rows.length) show(place, el("p", { class: "banner wait" }, `Store ${store} has nothing of this key.`));
    else {
      show(place, rowsTable(rows),
        el("p", { class: "quiet" }, `${words.plural(rows.length, "row")}${body.more ? ", and there are more" : ""}; as of ${body.position || "the beginning"}`
          + (body.elsewhere?.length ? `; partitions ${body.elsewhere.join(", ")} are on other instances` : "")));
    }
  } catch (error) {
    show(place, el("p", { class: "banner bad" }, error.message));
  }
}

/** The form. `all`: every store of the topology; `wanted`: [store, key] of the address, looked up once. */
export async function showLookup(all, wanted) {
  if (shown === undefined) {
    shown = null;
    shown = await json("stores").catch(() => undefined);
    if (shown === undefined) return;
  }
  const form = byId("lookup-form");
  const names = (shown ?? []).filter((one) => one.paths.some((path) => path.endsWith("/{key}"))).map((one) => one.store);
  form.hidden = names.length === 0;
  show(byId("lookup-store"), names.map((name) => el("option", { value: name }, name)));
  if (!names.length) {
    const has = Object.keys(all).length ? `The topology has ${Object.keys(all).join(", ")}. ` : "The topology has no store. ";
    show(byId("lookup-answer"), el("p", { class: "quiet" }, has,
      shown === null ? "This instance does not answer questions about keys." : "None is shown over HTTP: name those that may be in HttpConfig::stores."));
    return;
  }
  if (wanted && asked !== wanted.join("/")) {
    asked = wanted.join("/");
    [byId("lookup-store").value, byId("lookup-key").value] = wanted;
    await lookUp(...wanted);
  }
}

byId("lookup-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const [store, key] = [byId("lookup-store").value, byId("lookup-key").value];
  if (key === "") return;
  asked = `${store}/${key}`;
  history.replaceState(null, "", `#lookup=${encodeURIComponent(store)}/${encodeURIComponent(key)}`);
  lookUp(store, key);
});
