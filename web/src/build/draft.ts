// A draft in the replicated store, saved a moment after each change. Every save names the text that it replaces:
// of two tabs the second one is told, and nothing is overwritten without a word.

import type { Client } from "../api/client";
import { ApiError } from "../api/client";
import type { KvView, Page } from "../api/types";
import type { Snapshot } from "./history";

const PREFIX = "titan/drafts/";
export const DRAFT_BYTES_MAX = 128 * 1024; // of one value in the store

export interface DraftName {
  readonly name: string;
  readonly savedMs: number;
}

interface Stored extends Snapshot {
  readonly savedMs: number;
}

export type Saved = { readonly kind: "saved" } | { readonly kind: "conflict" } | { readonly kind: "too large" };

/** One draft as this tab knows it. */
export class Draft {
  private known: string | null = null; // the text that the store has, as far as this tab knows

  constructor(
    private readonly client: Client,
    readonly name: string,
  ) {}

  private get path(): string {
    return `/api/v1/store/${encodeURIComponent(PREFIX + this.name)}`;
  }

  /** What the store has, or null. */
  async load(): Promise<Snapshot | null> {
    try {
      const view = await this.client.get<KvView>(`${this.path}?consistent=true`);
      this.known = String(view.value);
      return readDraft(this.known);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        this.known = null;
        return null;
      }
      throw error;
    }
  }

  async save(snapshot: Snapshot): Promise<Saved> {
    const { text, spots, files, binary } = snapshot;
    const value = JSON.stringify({ text, spots, files, binary, savedMs: Date.now() });
    if (new TextEncoder().encode(value).length > DRAFT_BYTES_MAX) return { kind: "too large" };
    const answer = await this.client.change<{ value: boolean }>("PUT", this.path, { value, expected: this.known });
    if (!answer.value) return { kind: "conflict" };
    this.known = value;
    return { kind: "saved" };
  }

  /** Take note of what the store has now, so that the next save replaces it: a person has decided so. */
  async overwrite(): Promise<void> {
    await this.load();
  }

  remove(): Promise<unknown> {
    return this.client.change("DELETE", this.path);
  }
}

/** A stored draft; null when it is none. It comes from a store that anybody may write to. */
export function readDraft(value: string): Snapshot | null {
  try {
    const stored = JSON.parse(value) as Partial<Stored>;
    if (typeof stored.text !== "string") return null;
    return {
      text: stored.text,
      spots: texts(stored.spots, (each) => isSpot(each)),
      files: texts(stored.files, (each) => typeof each === "string"),
      binary: texts(stored.binary, (each) => typeof each === "string"),
    };
  } catch {
    return null;
  }
}

function texts<T>(given: Readonly<Record<string, T>> | undefined, isRight: (each: unknown) => boolean): Record<string, T> {
  return Object.fromEntries(Object.entries(given ?? {}).filter(([, each]) => isRight(each)));
}

function isSpot(each: unknown): boolean {
  const spot = each as { x?: unknown; y?: unknown } | null;
  return typeof spot?.x === "number" && typeof spot.y === "number";
}

export async function listDrafts(client: Client): Promise<readonly DraftName[]> {
  const page = await client.get<Page<KvView>>(`/api/v1/store?prefix=${encodeURIComponent(PREFIX)}&limit=200`);
  return page.items
    .map((item) => ({ name: item.key.slice(PREFIX.length), savedMs: savedAt(String(item.value)) }))
    .sort((a, b) => b.savedMs - a.savedMs);
}

function savedAt(value: string): number {
  try {
    return Number((JSON.parse(value) as Partial<Stored>).savedMs ?? 0);
  } catch {
    return 0;
  }
}
