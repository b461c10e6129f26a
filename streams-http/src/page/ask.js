// Asks the instance. Paths are relative, so that the page works behind a proxy, and never carry what the address bar may hold: a
// browser refuses to fetch addresses with a password in them.

const base = new URL(location.href);
base.username = "";
base.password = "";
base.search = "";
base.hash = "";

/** An answer that is not 200, and not just "no such path". */
export class Refused extends Error {}

async function get(path) {
  const answer = await fetch(new URL(path, base), { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (answer.status === 404) return null;
  if (answer.status === 401) throw new Refused("the token is missing or wrong; load the page anew and give it as password");
  if (!answer.ok && answer.status !== 503) throw new Refused(`${path} answers ${answer.status}`);
  return answer;
}

/** JSON of a path; null if this instance does not offer it. */
export const json = async (path) => (await get(path))?.json() ?? null;

/** Figures of `/metrics`: [{ name, labels, value }]. */
export async function metrics() {
  const answer = await get("metrics");
  return answer ? parse(await answer.text()) : [];
}

/** OpenMetrics text, as far as the page needs it. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, name, value] of (parts[2] ?? "").matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
    }
    samples.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  return samples;
}

/** A question whose refusal has something to say as well: { code, body }. */
export async function question(path) {
  const answer = await fetch(new URL(path, base), { cache: "no-store", signal: AbortSignal.timeout(20_000) });
  const said = await answer.text();
  try {
    return { code: answer.status, body: JSON.parse(said) };
  } catch {
    return { code: answer.status, body: { error: said } };
  }
}
