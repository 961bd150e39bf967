// An earlier revision of a run's graph, and in which lines it differs from a later one.

import type { Client } from "../api/client";
import type { GraphView } from "../api/types";
import type { Vertex } from "./layout";

const PAGE = 1000;

export interface Past {
  readonly revision: number;
  readonly vertices: readonly Vertex[];
}

type Fields = GraphView["jobs"][number]["fields"];
export type Graph = ReadonlyMap<string, Fields>;

/** The whole graph as of a revision; 0 is now. */
export async function graphAt(client: Client, run: string, at: number): Promise<{ revision: number; jobs: Graph }> {
  const jobs = new Map<string, Fields>();
  let after = "";
  for (;;) {
    const query = `at=${at}&limit=${PAGE}&after=${encodeURIComponent(after)}`;
    const page = await client.get<GraphView>(`/api/v1/runs/${encodeURIComponent(run)}/graph?${query}`);
    for (const job of page.jobs) jobs.set(job.id, job.fields);
    const last = page.jobs.at(-1);
    if (last === undefined || page.jobs.length < PAGE) return { revision: page.revision, jobs };
    after = last.id;
  }
}

export function verticesOf(jobs: Graph): readonly Vertex[] {
  return [...jobs].map(([id, fields]) => ({ id, parents: fields.depends_on ?? [] }));
}

/** What has changed from one graph to a later one, in lines for people. */
export function differences(old: Graph, now: Graph): readonly string[] {
  const lines: string[] = [];
  for (const id of old.keys()) if (!now.has(id)) lines.push(`− ${id}`);
  for (const [id, fields] of now) {
    const before = old.get(id);
    if (before === undefined) lines.push(`+ ${id}`);
    else {
      for (const [name, value] of Object.entries(fields)) {
        const was = before[name as keyof Fields];
        if (JSON.stringify(was) !== JSON.stringify(value)) lines.push(`~ ${id}: ${named(name)} ${words(was)} → ${words(value)}`);
      }
    }
  }
  return lines;
}

const named = (name: string) => (name === "depends_on" ? "waits for" : name);

function words(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ") || "nothing";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
