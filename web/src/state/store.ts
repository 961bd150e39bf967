// What the page knows: views by id, replaced as the stream tells. No framework: a value, its listeners, and two
// hooks. Changes of one batch are told once, at `now`; a box of a graph hears of its own job only.

import { useCallback, useSyncExternalStore } from "react";
import type { Batch } from "../api/stream";
import { Table } from "./table";
import type { Fact, JobView, KvView, Masters, RunView, Scheduled, WorkerView } from "../api/types";

const HIDDEN_MS = 250;
const FACTS_MAX = 1000; // the newest that a page shows

export interface World {
  readonly index: number;
  readonly runs: ReadonlyMap<string, RunView>;
  readonly jobs: ReadonlyMap<string, JobView>; // of the run that is followed, by id
  readonly shape: number; // another one when a job came, went or got other parents
  readonly workers: ReadonlyMap<string, WorkerView>;
  readonly keys: ReadonlyMap<string, KvView>;
  readonly schedules: ReadonlyMap<string, Scheduled>;
  readonly facts: readonly Fact[]; // newest first
  readonly cluster: Masters | null;
  readonly isLive: boolean;
}

export const NOTHING: World = {
  index: 0,
  runs: new Map(),
  jobs: new Table<JobView>(),
  shape: 0,
  workers: new Map(),
  keys: new Map(),
  schedules: new Map(),
  facts: [],
  cluster: null,
  isLive: false,
};

type Named = { readonly id: string };

export class Store {
  private world: World;
  private readonly listeners = new Set<() => void>();
  private readonly byJob = new Map<string, Set<() => void>>();
  private touched: Set<string> | null = new Set(); // jobs that the listeners have not been told of; null: all
  private table = new Table<JobView>();
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

  /** Hear of one job only: a batch then costs what changed, not what is shown. */
  readonly subscribeJob = (id: string, listener: () => void): (() => void) => {
    const listeners = this.byJob.get(id) ?? new Set();
    this.byJob.set(id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.byJob.get(id) === listeners) this.byJob.delete(id);
    };
  };

  /** Take in one message of the stream. */
  take(message: Batch): void {
    const draft = (this.draft ??= { ...(this.ready ?? this.world) });
    switch (message.kind) {
      case "reset":
        draft.runs = new Map();
        draft.jobs = this.table = new Table();
        draft.shape += 1;
        this.touched = null;
        draft.workers = new Map();
        draft.keys = new Map();
        draft.schedules = new Map();
        draft.facts = [];
        return;
      case "runs":
        draft.runs = merged(draft.runs, message.data as RunView[]);
        return;
      case "jobs":
        for (const job of message.data as JobView[]) {
          if (!isSameShape(this.table.get(job.id), job)) draft.shape += 1;
          this.table.set(job.id, job);
          this.touched?.add(job.id);
        }
        draft.jobs = this.table = this.table.renewed();
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
      case "schedules": {
        const schedules = new Map(draft.schedules);
        for (const item of message.data as Scheduled[]) schedules.set(item.schedule.name, item);
        draft.schedules = schedules;
        return;
      }
      case "facts": {
        const fresh = message.data as Fact[];
        const known = new Set(draft.facts.slice(0, fresh.length + 1).map((fact) => fact.id));
        draft.facts = [...fresh.filter((fact) => !known.has(fact.id)), ...draft.facts].slice(0, FACTS_MAX);
        return;
      }
      case "gone":
        for (const what of message.data as string[][]) this.drop(draft, what);
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
    const { touched } = this;
    this.touched = new Set();
    for (const listener of this.listeners) listener();
    const jobs = touched ?? this.byJob.keys();
    for (const job of [...jobs]) for (const listener of this.byJob.get(job) ?? []) listener();
  };

  private drop(draft: { -readonly [K in keyof World]: World[K] }, what: readonly string[]): void {
    const [kind, first, second] = what;
    if (kind === "run" && first !== undefined) draft.runs = without(draft.runs, first);
    if (kind === "worker" && first !== undefined) draft.workers = without(draft.workers, first);
    if (kind === "schedule" && first !== undefined) draft.schedules = without(draft.schedules, first);
    if (kind === "key" && first !== undefined) draft.keys = without(draft.keys, first);
    if (kind !== "job" || second === undefined) return;
    this.table.delete(second);
    this.touched?.add(second);
    draft.jobs = this.table = this.table.renewed();
    draft.shape += 1;
  }

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

function isSameShape(old: JobView | undefined, fresh: JobView): boolean {
  if (old === undefined || old.parents.length !== fresh.parents.length) return false;
  return old.parents.every((parent, at) => parent === fresh.parents[at]);
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

/** One job of the run that is followed; the component renders again when that job has changed. */
export function useJobOf(store: Store, id: string): JobView | undefined {
  const subscribe = useCallback((listener: () => void) => store.subscribeJob(id, listener), [store, id]);
  return useSyncExternalStore(subscribe, () => store.get().jobs.get(id));
}
