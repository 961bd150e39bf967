// What the page knows: views by id, replaced as the stream tells. No framework: a value, its listeners, and a
// hook. Changes of one batch are told once, at `now`.

import { useSyncExternalStore } from "react";
import type { Batch } from "../api/stream";
import type { Fact, JobView, KvView, Masters, RunView, WorkerView } from "../api/types";

const HIDDEN_MS = 250;
const FACTS_MAX = 1000; // the newest that a page shows

export interface World {
  readonly index: number;
  readonly runs: ReadonlyMap<string, RunView>;
  readonly jobs: ReadonlyMap<string, JobView>; // of the run that is followed, by id
  readonly workers: ReadonlyMap<string, WorkerView>;
  readonly keys: ReadonlyMap<string, KvView>;
  readonly facts: readonly Fact[]; // newest first
  readonly cluster: Masters | null;
  readonly isLive: boolean;
}

export const NOTHING: World = {
  index: 0,
  runs: new Map(),
  jobs: new Map(),
  workers: new Map(),
  keys: new Map(),
  facts: [],
  cluster: null,
  isLive: false,
};

type Named = { readonly id: string };

export class Store {
  private world: World;
  private readonly listeners = new Set<() => void>();
  private draft: { -readonly [K in keyof World]: World[K] } | null = null;

  private ready: World | null = null; // whole batches that the listeners have not been told of

  /** `soon` decides when listeners hear: at once, or with the next frame, several batches together. */
  constructor(
    world: World = NOTHING,
    private readonly soon: (tell: () => void) => void = (tell) => tell(),
  ) {
    this.world = world;
  }

  readonly get = (): World => this.world;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Take in one message of the stream. */
  take(message: Batch): void {
    const draft = (this.draft ??= { ...(this.ready ?? this.world) });
    switch (message.kind) {
      case "reset":
        draft.runs = new Map();
        draft.jobs = new Map();
        draft.workers = new Map();
        draft.keys = new Map();
        draft.facts = [];
        return;
      case "runs":
        draft.runs = merged(draft.runs, message.data as RunView[]);
        return;
      case "jobs":
        draft.jobs = merged(draft.jobs, message.data as JobView[]);
        return;
      case "workers":
        draft.workers = merged(draft.workers, message.data as WorkerView[]);
        return;
      case "keys": {
        const keys = new Map(draft.keys);
        for (const item of message.data as KvView[]) keys.set(item.key, item);
        draft.keys = keys;
        return;
      }
      case "facts": {
        const fresh = message.data as Fact[];
        const known = new Set(draft.facts.slice(0, fresh.length + 1).map((fact) => fact.id));
        draft.facts = [...fresh.filter((fact) => !known.has(fact.id)), ...draft.facts].slice(0, FACTS_MAX);
        return;
      }
      case "gone":
        for (const what of message.data as string[][]) drop(draft, what);
        return;
      case "cluster":
        draft.cluster = message.data as Masters;
        this.tell();
        return;
      case "now":
        draft.index = (message.data as { index: number }).index;
        this.tell();
    }
  }

  setLive(isLive: boolean): void {
    this.draft = { ...(this.draft ?? this.ready ?? this.world), isLive };
    this.tell();
  }

  private readonly told = (): void => {
    if (this.ready === null) return;
    this.world = this.ready;
    this.ready = null;
    for (const listener of this.listeners) listener();
  };

  private tell(): void {
    if (this.draft === null) return;
    const isWaiting = this.ready !== null;
    this.ready = this.draft;
    this.draft = null;
    if (!isWaiting) this.soon(this.told);
  }
}

/** With the next frame: a page that needs long to draw gets fewer, larger changes. Hidden pages have no frames. */
export function withFrame(tell: () => void): void {
  if (document.hidden) setTimeout(tell, HIDDEN_MS);
  else requestAnimationFrame(tell);
}

function merged<T extends Named>(old: ReadonlyMap<string, T>, fresh: readonly T[]): ReadonlyMap<string, T> {
  const map = new Map(old);
  for (const view of fresh) map.set(view.id, view);
  return map;
}

function drop(draft: { -readonly [K in keyof World]: World[K] }, what: readonly string[]): void {
  const [kind, first, second] = what;
  if (kind === "run" && first !== undefined) draft.runs = without(draft.runs, first);
  if (kind === "job" && second !== undefined) draft.jobs = without(draft.jobs, second);
  if (kind === "worker" && first !== undefined) draft.workers = without(draft.workers, first);
  if (kind === "key" && first !== undefined) draft.keys = without(draft.keys, first);
}

function without<T>(map: ReadonlyMap<string, T>, id: string): ReadonlyMap<string, T> {
  const copy = new Map(map);
  copy.delete(id);
  return copy;
}

/** The part of the world that `select` picks; the component renders again when that part changes. */
export function useWorld<T>(store: Store, select: (world: World) => T): T {
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}
