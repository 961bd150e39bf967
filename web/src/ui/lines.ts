// Text that arrives in pieces, as lines: bounded, and with carriage returns treated as a terminal would.

export const LINES_MAX = 200_000;

export class Lines {
  readonly lines: string[] = [];
  dropped = 0; // of the oldest
  private rest = "";

  push(text: string): void {
    const parts = (this.rest + text).split("\n");
    this.rest = parts.pop() ?? "";
    for (const part of parts) this.lines.push(settled(part));
    if (this.lines.length > LINES_MAX) {
      const extra = this.lines.length - LINES_MAX;
      this.lines.splice(0, extra);
      this.dropped += extra;
    }
  }

  /** All lines, the unfinished last one too. */
  all(): readonly string[] {
    return this.rest === "" ? this.lines : [...this.lines, settled(this.rest)];
  }
}

/** What a terminal would show of a line that goes back to its beginning: progress bars, mostly. */
function settled(line: string): string {
  const plain = line.endsWith("\r") ? line.slice(0, -1) : line;
  const at = plain.lastIndexOf("\r");
  return at < 0 ? plain : plain.slice(at + 1);
}
