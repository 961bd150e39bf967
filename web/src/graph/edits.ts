// Changes to a live run that are collected before they are applied, all or none: pure values and what follows from
// them. The masters check everything again; here it is refused at once, with the reason.

import type { JobView } from "../api/types";
import { isOver } from "../ui/states";

export type Jobs = ReadonlyMap<string, Pick<JobView, "id" | "state" | "parents">>;

export interface Arrow {
  readonly parent: string;
  readonly child: string;
}

export interface NewJob {
  readonly id: string;
  readonly command: string;
  readonly parents: readonly string[];
}

/** Other values for a job that has not started; what is not named stays. */
export interface Wish {
  readonly requirement?: readonly string[];
  readonly priority?: number;
  readonly resources?: Readonly<Record<string, number>>;
}

export type Fate = "skip" | "cancel";

export interface Draft {
  readonly base: number; // the revision that it is about
  readonly drawn: readonly Arrow[];
  readonly cut: readonly Arrow[];
  readonly wishes: ReadonlyMap<string, Wish>;
  readonly fates: ReadonlyMap<string, Fate>;
  readonly added: readonly NewJob[];
}

export function emptyDraft(base: number): Draft {
  return { base, drawn: [], cut: [], wishes: new Map(), fates: new Map(), added: [] };
}

export function sizeOf(draft: Draft): number {
  return draft.drawn.length + draft.cut.length + draft.wishes.size + draft.fates.size + draft.added.length;
}

const isSame = (a: Arrow, b: Arrow) => a.parent === b.parent && a.child === b.child;
const has = (arrows: readonly Arrow[], arrow: Arrow) => arrows.some((each) => isSame(each, arrow));

/** The parents that a job has once the draft is applied. */
export function parentsOf(draft: Draft, jobs: Jobs, id: string): readonly string[] {
  const fresh = draft.added.find((each) => each.id === id);
  if (fresh !== undefined) return fresh.parents;
  const kept = (jobs.get(id)?.parents ?? []).filter((parent) => !has(draft.cut, { parent, child: id }));
  return [...kept, ...draft.drawn.filter((each) => each.child === id).map((each) => each.parent)];
}

/** Why a job cannot be changed any more; "" when it can. */
export function whyBegun(jobs: Jobs, id: string): string {
  const job = jobs.get(id);
  if (job === undefined) return `there is no job ${id}`;
  if (job.state === "PENDING") return "";
  return isOver(job.state) ? `${id} has ended already` : `${id} has started already`;
}

/** Why an edge cannot be drawn; "" when it can. */
export function whyNotDrawn(draft: Draft, jobs: Jobs, arrow: Arrow): string {
  const { parent, child } = arrow;
  if (parent === child) return `${child} cannot wait for itself`;
  const begun = draft.added.some((each) => each.id === child) ? "" : whyBegun(jobs, child);
  if (begun !== "") return `${parent} → ${child}: ${begun}`;
  if (parentsOf(draft, jobs, child).includes(parent)) return `${child} waits for ${parent} already`;
  const way = wayUp(draft, jobs, parent, child);
  return way === null ? "" : `${parent} → ${child} would close a circle: ${[...way, child].join(" → ")}`;
}

/** From `top` down to `id`, when `top` is above it; else null. Breadth first, so that it is a shortest one. */
function wayUp(draft: Draft, jobs: Jobs, id: string, top: string): readonly string[] | null {
  const below = new Map<string, string>([[id, ""]]);
  const queue = [id];
  for (const at of queue) {
    if (at === top) {
      const way: string[] = [];
      for (let each = at; each !== ""; each = below.get(each) ?? "") way.push(each);
      return way;
    }
    for (const parent of parentsOf(draft, jobs, at)) {
      if (below.has(parent)) continue;
      below.set(parent, at);
      queue.push(parent);
    }
  }
  return null;
}

/** An edge more. The caller has asked `whyNotDrawn`. */
export function drawn(draft: Draft, arrow: Arrow): Draft {
  if (has(draft.cut, arrow)) return { ...draft, cut: draft.cut.filter((each) => !isSame(each, arrow)) };
  const added = draft.added.map((each) =>
    each.id === arrow.child ? { ...each, parents: [...each.parents, arrow.parent] } : each,
  );
  if (draft.added.some((each) => each.id === arrow.child)) return { ...draft, added };
  return { ...draft, drawn: [...draft.drawn, arrow] };
}

/** An edge less. */
export function cut(draft: Draft, arrow: Arrow): Draft {
  if (has(draft.drawn, arrow)) return { ...draft, drawn: draft.drawn.filter((each) => !isSame(each, arrow)) };
  if (draft.added.some((each) => each.id === arrow.child)) {
    const without = (each: NewJob) => ({ ...each, parents: each.parents.filter((parent) => parent !== arrow.parent) });
    return { ...draft, added: draft.added.map((each) => (each.id === arrow.child ? without(each) : each)) };
  }
  return { ...draft, cut: [...draft.cut, arrow] };
}

/** Other values for a job, or its own again when there are none. */
export function wished(draft: Draft, job: string, wish: Wish): Draft {
  const wishes = new Map(draft.wishes);
  if (Object.keys(wish).length === 0) wishes.delete(job);
  else wishes.set(job, wish);
  return { ...draft, wishes };
}

/** What is to become of a job; null: nothing of the kind. */
export function fated(draft: Draft, job: string, fate: Fate | null): Draft {
  const fates = new Map(draft.fates);
  if (fate === null) fates.delete(job);
  else fates.set(job, fate);
  return { ...draft, fates };
}

/** Without a job that was to be added, and without what was drawn from it. */
export function withoutAdded(draft: Draft, id: string): Draft {
  const added = draft.added
    .filter((each) => each.id !== id)
    .map((each) => ({ ...each, parents: each.parents.filter((parent) => parent !== id) }));
  return { ...draft, added, drawn: draft.drawn.filter((each) => each.parent !== id) };
}

/** The body's `edits`, as the masters take them. Commands travel as bytes in base64. */
export function editsOf(draft: Draft, jobs: Jobs): readonly Record<string, unknown>[] {
  const changed = new Set([...draft.wishes.keys(), ...[...draft.drawn, ...draft.cut].map((each) => each.child)]);
  const isReshaped = (job: string) => [...draft.drawn, ...draft.cut].some((each) => each.child === job);
  const changes = [...changed].map((job) => {
    const parents = isReshaped(job) ? { depends_on: parentsOf(draft, jobs, job) } : {};
    return { edit: "change", job, set: { ...draft.wishes.get(job), ...parents } };
  });
  const added = draft.added.map(({ id, command, parents }) => ({ id, shell: base64(command), depends_on: parents }));
  const add = added.length > 0 ? [{ edit: "add", jobs: added }] : [];
  return [...changes, ...add, ...[...draft.fates].map(([job, edit]) => ({ edit, job }))];
}

function base64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
}

/** The changes in lines for people. */
export function linesOf(draft: Draft): readonly string[] {
  return [
    ...draft.added.map(({ id, parents }) => `+ ${id}${parents.length > 0 ? ` after ${parents.join(", ")}` : ""}`),
    ...draft.drawn.map(({ parent, child }) => `+ ${parent} → ${child}`),
    ...draft.cut.map(({ parent, child }) => `− ${parent} → ${child}`),
    ...[...draft.wishes].flatMap(([job, wish]) => wishLines(job, wish)),
    ...[...draft.fates].map(([job, fate]) => (fate === "skip" ? `⇥ skip ${job}` : `⊘ cancel ${job} and what follows it`)),
  ];
}

function wishLines(job: string, { requirement, priority, resources }: Wish): readonly string[] {
  const lines: string[] = [];
  if (requirement !== undefined) lines.push(`~ ${job}: needs ${requirement.join(", ") || "nothing"}`);
  if (priority !== undefined) lines.push(`~ ${job}: priority ${priority}`);
  if (resources !== undefined) lines.push(`~ ${job}: takes ${wordsOfResources(resources) || "the usual"}`);
  return lines;
}

export function wordsOfResources(resources: Readonly<Record<string, number>>): string {
  return Object.entries(resources)
    .map(([name, amount]) => `${name}=${amount}`)
    .join(", ");
}

/** "slots=2, gpus=1" as amounts by name; null when it says something else. */
export function resourcesIn(words: string): Record<string, number> | null {
  const found: Record<string, number> = {};
  for (const part of words.split(/[\s,]+/).filter((each) => each !== "")) {
    const match = /^([A-Za-z][\w.-]*)=(\d+)$/.exec(part);
    if (match?.[1] === undefined) return null;
    found[match[1]] = Number(match[2]);
  }
  return found;
}

export interface Rebased {
  readonly draft: Draft;
  readonly lost: readonly string[]; // what could not be kept, with the reason
}

/** The same changes about the run as it is now. */
export function rebased(draft: Draft, jobs: Jobs, revision: number): Rebased {
  const lost: string[] = [];
  const keeps = (words: string, why: string) => {
    if (why !== "") lost.push(`${words}: ${why}`);
    return why === "";
  };
  let next: Draft = { ...draft, base: revision, drawn: [] };
  next = {
    ...next,
    added: draft.added.filter((each) => keeps(`+ ${each.id}`, jobs.has(each.id) ? "the run has such a job now" : "")),
    cut: draft.cut.filter((each) => {
      if (jobs.get(each.child)?.parents.includes(each.parent) === false) return false; // gone without us
      return keeps(`− ${each.parent} → ${each.child}`, whyBegun(jobs, each.child));
    }),
    wishes: new Map([...draft.wishes].filter(([job]) => keeps(`~ ${job}`, whyBegun(jobs, job)))),
    fates: new Map(
      [...draft.fates].filter(([job, fate]) => {
        const isLate = fate === "skip" || !jobs.has(job) || isOver(jobs.get(job)?.state ?? "");
        return keeps(`${fate} ${job}`, isLate ? whyBegun(jobs, job) : "");
      }),
    ),
  };
  for (const each of draft.drawn) {
    if (jobs.get(each.child)?.parents.includes(each.parent) === true) continue; // somebody drew it
    if (keeps(`+ ${each.parent} → ${each.child}`, whyNotDrawn(next, jobs, each))) next = drawn(next, each);
  }
  return { draft: next, lost };
}

/** Whether something of the draft cannot be applied any more, since jobs have started. */
export function isStale(draft: Draft, jobs: Jobs): boolean {
  const changed = [...draft.wishes.keys(), ...[...draft.drawn, ...draft.cut].map((each) => each.child)];
  const skipped = [...draft.fates].filter(([, fate]) => fate === "skip").map(([job]) => job);
  const ended = [...draft.fates].some(([job]) => isOver(jobs.get(job)?.state ?? ""));
  return ended || [...changed, ...skipped].some((job) => whyBegun(jobs, job) !== "");
}
