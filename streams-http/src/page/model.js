// What the answers of the instance mean for each node: figures beside the drawing. No elements here.

/** Sums of `/metrics` by node, where the instance measures nodes: Map(node -> total). */
function totalsByNode(samples) {
  // Inner nodes at DEBUG; sinks always. A sink has both at DEBUG: they say the same, so the larger one is taken.
  const sums = new Map();
  for (const name of ["kafka_streams_stream_processor_node_metrics_process_total",
    "kafka_streams_stream_topic_metrics_records_produced_total"]) {
    const one = new Map();
    for (const sample of samples) {
      const node = sample.labels.processor_node_id;
      if (sample.name === name && node !== undefined) one.set(node, (one.get(node) ?? 0) + sample.value);
    }
    for (const [node, total] of one) sums.set(node, Math.max(total, sums.get(node) ?? 0));
  }
  return sums;
}

/** Notes the counters of a status. */
export function note(rates, status, samples, now) {
  rates.note("processed", now, status.records.processed);
  rates.note("produced", now, status.records.produced);
  rates.note("restored", now, status.restore.records_restored);
  for (const [node, total] of totalsByNode(samples)) rates.note(`node ${node}`, now, total);
  for (const { name, labels, value } of samples) {
    if (name === "kafka_streams_stream_thread_metrics_poll_ratio" && value >= 0) rates.shares.set(`busy ${labels.thread_id}`, 1 - value);
  }
  for (const thread of status.threads) {
    for (const task of thread.tasks) {
      if (task.at === undefined) continue;
      if (task.thread_cpu_ns !== undefined) rates.note(`cpu ${thread.name}`, task.at, task.thread_cpu_ns);
      for (const input of task.inputs) {
        if (input.position !== null) rates.note(`input ${task.id} ${input.topic} ${input.partition}`, task.at, input.position);
      }
    }
  }
}

const sum = (list) => list.reduce((total, number) => total + number, 0);
const known = (list) => list.filter((number) => number !== null && number !== undefined);
const sumOrNull = (list) => (known(list).length ? sum(known(list)) : null);

/** Records a second of a task: those of its inputs. */
export function taskRate(rates, task) {
  return sumOrNull((task.inputs ?? []).map((input) => rates.of(`input ${task.id} ${input.topic} ${input.partition}`)));
}

/** Share of its time that a thread does not wait for records, if it is measured; else of a core that it uses; null if nobody says. */
export function busyOf(rates, thread) {
  const told = rates.shares.get(`busy ${thread.name}`);
  if (told !== undefined) return Math.min(1, Math.max(0, told));
  const perSecond = rates.of(`cpu ${thread.name}`);
  return perSecond === null ? null : Math.min(1, perSecond / 1e9);
}

/** Tasks of each sub-topology, and its nodes' figures: [{ id, global, nodes, tasks, busy, restoring, figures }]. */
export function parts(graph, status, rates, samples, work) {
  const measured = totalsByNode(samples);
  // Nobody has looked at the threads before the first question.
  const worked = new Map(work?.samples ? work.nodes.map((node) => [node.name, node]) : []);
  return graph.subtopologies.map((part) => {
    const tasks = status.threads.flatMap((thread) => thread.tasks.filter((task) => task.id.split("_")[0] === String(part.id)));
    const sources = part.nodes.filter((node) => node.kind === "source");
    const named = new Set(sources.flatMap((node) => node.topics.flatMap((topic) => [topic, `${status.application_id}-${topic}`])));
    const figures = new Map(part.nodes.map((node) => [node.name, figuresOf(node, tasks, named, status, rates, measured, worked)]));
    return {
      ...part, tasks, figures,
      restoring: tasks.filter((task) => task.restoring).length,
      busy: sumOrNull([...figures.values()].map((one) => one.busy)),
      rate: sumOrNull(tasks.map((task) => taskRate(rates, task))),
    };
  });
}

function figuresOf(node, tasks, named, status, rates, measured, worked) {
  const reads = ({ topic }) => (node.topics.length
    ? node.topics.some((name) => topic === name || topic === `${status.application_id}-${name}`)
    : !named.has(topic));
  const inputs = node.kind !== "source" ? [] : tasks.flatMap((task) => (task.inputs ?? []).filter(reads).map((input) => ({
    ...input, task: task.id, rate: rates.of(`input ${task.id} ${input.topic} ${input.partition}`),
  })));
  const stores = node.stores.map((name) => {
    const places = tasks.flatMap((task) => (task.stores ?? []).filter((store) => store.name === name)
      .map((store) => ({ ...store, task: task.id })));
    return {
      name, places,
      memory: sumOrNull(places.map((place) => place.memory_bytes)),
      engine: sumOrNull(places.map((place) => place.engine_bytes)),
      restore: restoreOf(places),
    };
  });
  const own = measured.has(node.name) ? rates.of(`node ${node.name}`) : null;
  return {
    inputs, stores,
    rate: node.kind === "source" ? sumOrNull(inputs.map((input) => input.rate)) ?? own : own,
    lag: node.kind === "source" ? sumOrNull(inputs.map((input) => input.lag)) : null,
    busy: worked.get(node.name)?.share ?? null,
    busyTasks: worked.get(node.name)?.tasks ?? [],
  };
}

/** Restores of several places as one: { restored, left }, or null. */
export function restoreOf(places) {
  const restores = places.map((place) => place.restore).filter(Boolean);
  if (!restores.length) return null;
  return { restored: sum(restores.map((one) => one.restored)), left: sum(restores.map((one) => one.left)) };
}
