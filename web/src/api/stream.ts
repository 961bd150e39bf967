// The live stream: server-sent events read with fetch, so that the page can move to another master and send the
// index it has seen. Views replace each other by id; a repeat does no harm and a gap is answered by `reset`.

import type { Client } from "./client";

export interface Batch {
  readonly kind: string;
  readonly data: unknown;
}

export type OnMessage = (message: Batch) => void;
export type OnState = (isLive: boolean) => void;

const SILENCE_MS = 20_000; // the master sends something every 15 s
const PAUSE_MS = 200;

export class Stream {
  private last: string | null = null;
  private stopped = false;
  private abort: AbortController | null = null;

  constructor(
    private readonly client: Client,
    private readonly query: string,
    private readonly onMessage: OnMessage,
    private readonly onState: OnState,
  ) {}

  start(): void {
    void this.loop();
  }

  stop(): void {
    this.stopped = true;
    this.abort?.abort();
  }

  private async loop(): Promise<void> {
    while (!this.stopped) {
      const base = this.client.masters.base;
      try {
        await this.once(base);
      } catch {
        // the reason does not matter: the next master, or the same one again
      }
      if (this.stopped) return;
      this.onState(false);
      this.client.masters.failed(base);
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }

  private async once(base: string): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    const headers: Record<string, string> = this.last === null ? {} : { "Last-Event-ID": this.last };
    let timer = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await fetch(`${base}/api/v1/stream?${this.query}`, { headers, signal: abort.signal });
      if (!response.ok || response.body === null) throw new Error(`stream: ${response.status}`);
      this.onState(true);
      const parser = new EventParser((event) => {
        if (event.id !== null) this.last = event.id;
        this.onMessage({ kind: event.kind, data: JSON.parse(event.data) });
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), SILENCE_MS);
        parser.push(value);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

interface ParsedEvent {
  readonly kind: string;
  readonly data: string;
  readonly id: string | null;
}

/** Server-sent events from pieces of text that may be cut anywhere. */
export class EventParser {
  private rest = "";
  private kind = "message";
  private data: string[] = [];
  private id: string | null = null;

  constructor(private readonly onEvent: (event: ParsedEvent) => void) {}

  push(text: string): void {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.line(line);
  }

  private line(line: string): void {
    if (line === "") {
      if (this.data.length > 0) this.onEvent({ kind: this.kind, data: this.data.join("\n"), id: this.id });
      this.kind = "message";
      this.data = [];
      this.id = null;
      return;
    }
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.kind = value;
    else if (name === "data") this.data.push(value);
    else if (name === "id") this.id = value;
  }
}
