// Who sits before this page, as far as they have told: it goes along with every change, for the audit. A claim, no proof.

const KEY = "who"; // also what gates take as a person's name
const SESSION = `session-${crypto.randomUUID().slice(0, 8)}`; // of this page, as long as nobody has given a name

export function name(): string {
  return localStorage.getItem(KEY) ?? "";
}

const listeners = new Set<() => void>();

/** Hear of every change of the name, also of those in other windows; the answer is how to stop it. */
export function onName(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("storage", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("storage", listener);
  };
}

export function setName(to: string): void {
  const trimmed = to.trim();
  if (trimmed === "") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, trimmed);
  for (const listener of listeners) listener();
}

/** As a header carries it. */
export function whoHeader(): string {
  return encodeURIComponent(`dashboard ${name() || SESSION}`);
}
