// Totals in, rates out: remembers what each counter was over the last seconds.

const WINDOW_MS = 10_000;

export class Rates {
  #samples = new Map();
  /** Shares that the instance tells itself: name -> 0 to 1. */
  shares = new Map();

  /** The counter `name` was `total` at `at` (ms). A total that went back begins anew. */
  note(name, at, total) {
    if (total === null || total === undefined) return;
    const samples = this.#samples.get(name) ?? [];
    const last = samples.at(-1);
    if (last && total < last.total) samples.length = 0;
    if (!last || at > last.at) samples.push({ at, total });
    while (samples.length > 2 && samples[1].at < at - WINDOW_MS) samples.shift();
    this.#samples.set(name, samples);
  }

  /** How much it grows a second; null as long as it was seen once only. */
  of(name) {
    const samples = this.#samples.get(name) ?? [];
    const first = samples[0];
    const last = samples.at(-1);
    if (samples.length < 2 || last.at <= first.at) return null;
    return ((last.total - first.total) * 1000) / (last.at - first.at);
  }
}
