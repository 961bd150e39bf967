// Which masters there are, and which one this page talks to now.
//
// The page is served by one master and must outlive it: it learns the others' HTTP addresses and goes on at
// the next one when its own stops answering. The choice is remembered for the tab only.

export type Listener = (base: string) => void;

export class Masters {
  private known: string[];
  private at = 0;
  private readonly listeners = new Set<Listener>();

  constructor(first: string) {
    this.known = [first];
  }

  get base(): string {
    return this.known[this.at] ?? "";
  }

  get all(): readonly string[] {
    return this.known;
  }

  /** Learn addresses ("host:port"); the one in use stays in use. */
  learn(addresses: readonly string[]): void {
    const current = this.base;
    const fresh = addresses.filter((address) => address !== "").map((address) => `http://${address}`);
    const merged = [current, ...fresh.filter((base) => base !== current)];
    for (const base of this.known) if (!merged.includes(base)) merged.push(base);
    this.known = merged.slice(0, 16);
    this.at = 0;
  }

  /** `base` did not answer: go on at the next one, unless somebody has moved on already. */
  failed(base: string): void {
    if (base !== this.base || this.known.length < 2) return;
    this.at = (this.at + 1) % this.known.length;
    for (const listener of this.listeners) listener(this.base);
  }

  onMove(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
