// The pages, each a file of its own that is fetched when it is first needed: the first load is the frame and the
// orchestrator. `fetchRest` gets the others as soon as there is nothing better to do, because the master that serves
// them may be gone by the time somebody wants one, and then only data comes from the others.

import { lazy, type ComponentType } from "react";

type Load = () => Promise<unknown>;

const PATIENCE_MS = 1000;

const loads: Load[] = [() => import("./pages/declaration")];

function page<P>(load: () => Promise<ComponentType<P>>) {
  loads.push(load);
  return lazy(async () => ({ default: await load() }));
}

export const Constructor = page(() => import("./build/constructor").then((file) => file.default));
export const RunPage = page(() => import("./pages/run").then((file) => file.RunPage));
export const Schedules = page(() => import("./pages/schedules").then((file) => file.Schedules));
export const SchedulePage = page(() => import("./pages/schedule").then((file) => file.SchedulePage));
export const NewSchedule = page(() => import("./pages/schedule-form").then((file) => file.NewSchedule));
export const EditSchedule = page(() => import("./pages/schedule-form").then((file) => file.EditSchedule));
export const Services = page(() => import("./pages/services").then((file) => file.Services));
export const Agents = page(() => import("./pages/agents").then((file) => file.Agents));
export const DeadLetters = page(() => import("./pages/dead").then((file) => file.DeadLetters));
export const Keys = page(() => import("./pages/keys").then((file) => file.Keys));
export const Events = page(() => import("./pages/events").then((file) => file.Events));

loads.push(() => import("./build/editor")); // by far the largest

/** One after another, so that none of them is in the way of the page that is being looked at. */
export function fetchRest(): void {
  const soon: (then: () => void) => unknown =
    window.requestIdleCallback === undefined
      ? (then) => setTimeout(then, 100)
      : (then) => window.requestIdleCallback(then, { timeout: PATIENCE_MS });
  const next = (at: number) => {
    const load = loads[at];
    if (load === undefined) return;
    const after = () => soon(() => next(at + 1));
    load().then(after, after); // what has failed is asked for again when it is needed
  };
  soon(() => next(0));
}
