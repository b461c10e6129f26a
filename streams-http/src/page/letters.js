// Records that failed: how many, why, and the last ones with where they came from and where they went.

import { byId, el, show, table } from "./dom.js";
import * as words from "./words.js";

export function showLetters(failures) {
  if (!failures) {
    show(byId("letter-counts"), el("p", { class: "quiet" }, "This instance does not tell which records failed."));
    show(byId("letter-table"));
    return;
  }
  const dropped = failures.dropped.map(([reason, count]) => el("li", {}, el("b", {}, words.count(count)), ` ${reason.replaceAll("-", " ")}`));
  show(byId("letter-counts"),
    el("ul", { class: "counts" },
      el("li", {}, el("b", {}, words.count(failures.dead_letters)), ` ${failures.dead_letters === 1 ? "dead letter" : "dead letters"}`),
      el("li", {}, el("b", {}, words.count(failures.total)), ` ${failures.total === 1 ? "failure" : "failures"} handled`), dropped),
    failures.total ? null : el("p", { class: "quiet" }, "No record has failed since the start."));
  if (!failures.last.length) {
    show(byId("letter-table"));
    return;
  }
  const source = (one) => (one.topic === null ? "none (a schedule)" : `${one.topic}-${one.partition} at ${one.offset}`);
  show(byId("letter-table"), table("The last records that failed", ["When", "Source record", "Node", "What", "Became of it"],
    failures.last.map((one) => [words.clock(one.at), source(one), one.node, `${one.stage}: ${one.message}`,
      (one.dead_letters.length ? `→ ${one.dead_letters.join(", ")}` : one.resumed ? "dropped" : "") + (one.resumed ? "" : " task stopped")])));
}
