// Figures as people read them.

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export const count = (number) => (number === null || number === undefined ? "–" : GROUPED.format(number));

/** 1.2k, 34M: three figures at most. */
export function short(number) {
  if (number === null || number === undefined) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size * 0.9995) return `${(number / size).toPrecision(3).replace(/\.?0+$/, "")}${unit}`;
  }
  return number >= 10 || Number.isInteger(number) ? String(Math.round(number)) : number.toFixed(1);
}

/** 3.4 MB; 1 kB is 1,000 bytes. */
export function bytes(number) {
  if (number === null || number === undefined) return "–";
  if (number < 1000) return `${number} B`;
  const power = Math.min(4, Math.floor(Math.log10(number) / 3));
  const scaled = number / 1000 ** power;
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

export const rate = (number) => (number === null || number === undefined ? "–" : `${short(number)}/s`);

export const percent = (share) => `${Math.round(share * 100)} %`;

/** A share that may be small: 12 %, 4.2 %, 0.3 %, 0 %. */
export const share = (share) => (share >= 0.0995 || share < 0.0005 ? percent(share) : `${(share * 100).toFixed(1)} %`);

/** What a node's busy share is a share of. */
export const ofThreads = (part) => `of the time of ${part.global ? "the thread that feeds global stores" : "all stream threads"}`;

/** 14:05:09 */
export const clock = (at) => new Date(at).toTimeString().slice(0, 8);

/** 45 s, 3 min, 2 h */
export function lasting(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** What a state means, beside its word: a sign for those who see no colours, and a tone for the rest. */
export function state(word) {
  const signs = {
    CREATED: ["○", "wait"], REBALANCING: ["↻", "wait"], RUNNING: ["●", "good"], PENDING_SHUTDOWN: ["◐", "wait"],
    NOT_RUNNING: ["■", "off"], PENDING_ERROR: ["▲", "bad"], ERROR: ["▲", "bad"],
    PARTITIONS_REVOKED: ["○", "wait"], PARTITIONS_ASSIGNED: ["↻", "wait"], DEAD: ["■", "off"],
  };
  const [sign, tone] = signs[word] ?? ["?", "off"];
  return { sign, tone };
}

/** A node's name in short: what Kafka Streams generates is `KSTREAM-AGGREGATE-0000000003`. */
export function node(name) {
  const generated = /^(KSTREAM|KTABLE)-([A-Z-]+)-0*(\d+)$/.exec(name);
  if (!generated) return name;
  const word = generated[2].toLowerCase().replaceAll("-", " ");
  return `${generated[1] === "KTABLE" ? "table " : ""}${word} ${generated[3]}`;
}
