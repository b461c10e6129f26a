// Threads with their tasks, and how far restores are.

import { byId, el, show, table } from "./dom.js";
import { busyOf, restoreOf, taskRate } from "./model.js";
import * as words from "./words.js";

const thousandths = (share) => Math.round(share * 1000);

export function showTasks(status, rates) {
  if (!status.threads.length) {
    show(byId("tasks"), el("p", { class: "quiet" }, "No stream thread runs here."));
    return;
  }
  const sum = (list) => list.reduce((total, number) => total + (number ?? 0), 0);
  show(byId("tasks"), status.threads.map((thread) => {
    const { sign, tone } = words.state(thread.state);
    const busy = busyOf(rates, thread);
    return el("div", { class: "thread" },
      el("h3", {}, thread.name),
      el("p", {}, el("span", { class: `pill small ${tone}` }, `${sign} ${thread.state}`),
        busy === null ? null : [el("meter", { max: 1, value: busy.toFixed(3), "aria-label": "busy" }), ` busy ${words.percent(busy)}`]),
      thread.tasks.length === 0 ? el("p", { class: "quiet" }, "no tasks") : table(`Tasks of ${thread.name}`,
        ["Task", "State", "Inputs", ["Rate"], ["Lag"], ["State size"]],
        thread.tasks.map((task) => [task.id, task.restoring ? "↻ restoring" : "● running", task.partitions.join(", "), words.rate(taskRate(rates, task)),
          task.inputs?.length ? words.count(sum(task.inputs.map((input) => input.lag))) : "–",
          words.bytes(sum((task.stores ?? []).flatMap((store) => [store.memory_bytes, store.engine_bytes])))])));
  }));
}

const bar = (name, { restored, left }, note) => {
  const share = restored / Math.max(1, restored + left);
  return el("div", { class: "restore" },
    el("span", { class: "restore-name" }, name),
    el("progress", { max: 1000, value: thousandths(share), "aria-label": `Restore of ${name}` }),
    el("span", { class: "restore-note" }, `${words.percent(share)}, ${words.count(left)} left${note}`));
};

export function showRestores(status) {
  const restoring = status.threads.flatMap((thread) => thread.tasks).flatMap((task) => (task.stores ?? [])
    .filter((store) => store.restore).map((store) => ({ task, store })));
  byId("restores").hidden = status.restore.tasks === 0 && restoring.length === 0;
  const { records_per_second: rate, seconds_left: seconds } = status.restore;
  const whole = restoreOf(restoring.map(({ store }) => store));
  const time = rate > 0 ? `, ${words.rate(rate)}, about ${words.lasting(seconds * 1000)}` : "";
  show(byId("restore-bars"),
    whole && restoring.length > 1 ? bar("All stores here", whole, time) : null,
    restoring.map(({ task, store }) => bar(`${store.name}, task ${task.id}`, store.restore, restoring.length === 1 ? time : "")),
    restoring.length ? null : el("p", { class: "quiet" }, `${words.plural(status.restore.tasks, "task")} wait for their stores, `
      + `${words.plural(status.restore.records_left, "record")} left`));
}
