// A pipeline's YAML as the constructor sees it. The text is the only truth: the graph is read from it, and
// every edit of the graph changes the document's own nodes, so that comments and order stay where they are.

import { isMap, isScalar, isSeq, LineCounter, parseDocument, YAMLMap, YAMLSeq, type Document } from "yaml";
import { freshId } from "./ids";

export interface BuildJob {
  readonly id: string;
  readonly type: string;
  readonly parents: readonly string[];
  readonly fields: Readonly<Record<string, unknown>>; // under their proper names
  readonly line: number; // counted from 1
}

export interface Flaw {
  readonly message: string;
  readonly field: string;
  readonly line: number; // 0: of no place
  readonly column: number;
}

export interface Pipeline {
  readonly isReadable: boolean; // false: the text is not YAML, and the graph is not known
  readonly name: string;
  readonly root: Readonly<Record<string, unknown>>; // without the jobs
  readonly jobs: readonly BuildJob[];
  readonly flaws: readonly Flaw[];
}

const JOB_ALIASES: Readonly<Record<string, readonly string[]>> = {
  id: ["job_id", "name"],
  type: ["job_type"],
  file: ["filename", "script"],
  depends_on: ["parents"],
  requirement: ["capability"],
  hitl_message: ["message"],
  with: ["parameters"],
};
const ROOT_ALIASES: Readonly<Record<string, readonly string[]>> = {
  name: ["dag", "dag_name", "pipeline"],
  jobs: ["tasks"],
};
const TYPES: Readonly<Record<string, string>> = {
  RUN_PAYLOAD: "run",
  TASK: "run",
  SERVICE: "service",
  DEPLOY_PAYLOAD: "service",
};
export const EMPTY = "name: my-pipeline\njobs: []\n";

/** Read the text. Never throws: what is wrong is in `flaws`. */
export function parse(text: string): Pipeline {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const flaws: Flaw[] = doc.errors.map((error) => {
    const { line, col } = counter.linePos(error.pos[0]);
    return { message: error.message, field: "", line, column: col };
  });
  if (flaws.length > 0 || !(doc.contents === null || isMap(doc.contents))) {
    if (flaws.length === 0) flaws.push({ message: "must be a mapping with the key 'jobs'", field: "", line: 1, column: 1 });
    return { isReadable: false, name: "", root: {}, jobs: [], flaws };
  }
  const root: Record<string, unknown> = {};
  const jobs: BuildJob[] = [];
  const seen = new Set<string>();
  try {
    if (doc.contents !== null) {
      for (const pair of doc.contents.items) {
        const key = proper(String(plain(pair.key, doc)), ROOT_ALIASES);
        if (key !== "jobs") root[key] = plain(pair.value, doc);
      }
    }
    for (const item of jobNodes(doc)) {
      const job = readJob(item, doc, counter);
      if (job === null || seen.has(job.id)) continue; // the master's check says what is wrong with it
      seen.add(job.id);
      jobs.push(job);
    }
  } catch (error) {
    return { isReadable: false, name: "", root: {}, jobs: [], flaws: [{ message: String(error), field: "", line: 0, column: 0 }] };
  }
  return { isReadable: true, name: String(root["name"] ?? ""), root, jobs, flaws };
}

function readJob(node: YAMLMap, doc: Document, counter: LineCounter): BuildJob | null {
  const fields: Record<string, unknown> = {};
  for (const pair of node.items) fields[proper(String(plain(pair.key, doc)), JOB_ALIASES)] = plain(pair.value, doc);
  const id = fields["id"];
  if (typeof id !== "string" && typeof id !== "number") return null;
  const spelt = String(fields["type"] ?? "run");
  const line = node.range ? counter.linePos(node.range[0]).line : 0;
  return { id: String(id), type: TYPES[spelt] ?? spelt, parents: names(fields["depends_on"]), fields, line };
}

function names(value: unknown): string[] {
  const listed = Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
  return [...new Set(listed.map((each) => String(each).replace(/^DAG-/, "")))];
}

function plain(node: unknown, doc: Document): unknown {
  if (node !== null && typeof node === "object" && "toJS" in node) return (node as YAMLMap).toJS(doc);
  return node;
}

function proper(name: string, aliases: Readonly<Record<string, readonly string[]>>): string {
  for (const [field, spellings] of Object.entries(aliases)) if (spellings.includes(name)) return field;
  return name;
}

function jobNodes(doc: Document): YAMLMap[] {
  const list = jobList(doc);
  return list === null ? [] : list.items.filter((item): item is YAMLMap => isMap(item));
}

function jobList(doc: Document): YAMLSeq | null {
  if (!isMap(doc.contents)) return null;
  const key = spelling(doc.contents, "jobs", ROOT_ALIASES);
  const node = key === null ? null : doc.contents.get(key, true);
  return isSeq(node) ? node : null;
}

/** How the mapping spells a field, or null when it has it under no name. */
function spelling(map: YAMLMap, field: string, aliases: Readonly<Record<string, readonly string[]>>): string | null {
  return [field, ...(aliases[field] ?? [])].find((name) => map.has(name)) ?? null;
}

/** The text after `change`. Throws when the text is not readable. */
export function edited(text: string, change: (editor: Editor) => void): string {
  const doc = parseDocument(text);
  if (doc.errors.length > 0) throw new Error("the YAML cannot be read; mend it first");
  if (!isMap(doc.contents)) doc.contents = new YAMLMap() as never;
  change(new Editor(doc));
  return doc.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** Changes of one document, by what people mean. */
export class Editor {
  constructor(private readonly doc: Document) {}

  ids(): string[] {
    return jobNodes(this.doc).flatMap((node) => {
      const id = this.idOf(node);
      return id === null ? [] : [id];
    });
  }

  add(fields: Readonly<Record<string, unknown>>): void {
    const map = this.doc.contents as YAMLMap;
    let list = jobList(this.doc);
    if (list === null) {
      list = new YAMLSeq();
      map.set(spelling(map, "jobs", ROOT_ALIASES) ?? "jobs", list);
    }
    list.flow = false;
    list.add(this.node(fields));
  }

  remove(ids: readonly string[]): void {
    const gone = new Set(ids);
    const list = jobList(this.doc);
    if (list === null) return;
    list.items = list.items.filter((item) => !(isMap(item) && gone.has(this.idOf(item) ?? "")));
    for (const id of this.ids()) for (const parent of ids) this.disconnect(parent, id);
  }

  rename(old: string, id: string): void {
    for (const node of jobNodes(this.doc)) {
      const list = this.parentsOf(node);
      for (const item of list?.items ?? []) if (isScalar(item) && is(item.value, old)) item.value = id;
    }
    this.set(old, "id", id);
  }

  /** Set a field of a job; undefined removes it. */
  set(id: string, field: string, value: unknown): void {
    const job = this.job(id);
    if (job === null) return;
    const key = spelling(job, field, JOB_ALIASES) ?? field;
    if (value === undefined) job.delete(key);
    else this.put(job, key, value);
  }

  setRoot(field: string, value: unknown): void {
    const map = this.doc.contents as YAMLMap;
    const key = spelling(map, field, ROOT_ALIASES) ?? field;
    if (value === undefined) map.delete(key);
    else this.put(map, key, value);
  }

  connect(parent: string, child: string): void {
    const job = this.job(child);
    if (job === null) return;
    const list = this.parentsOf(job);
    if (list === null) this.put(job, "depends_on", [parent]);
    else if (!list.items.some((item) => isScalar(item) && is(item.value, parent))) list.add(this.doc.createNode(parent));
  }

  disconnect(parent: string, child: string): void {
    const job = this.job(child);
    const list = job && this.parentsOf(job);
    if (job === null || !list) return;
    list.items = list.items.filter((item) => !(isScalar(item) && is(item.value, parent)));
    if (list.items.length === 0) job.delete(spelling(job, "depends_on", JOB_ALIASES) ?? "depends_on");
  }

  /** Copies of jobs with edges among themselves kept; answers old id → new id. */
  duplicate(ids: readonly string[]): ReadonlyMap<string, string> {
    const taken = new Set(this.ids());
    const renamed = new Map<string, string>();
    for (const id of ids) {
      const fresh = freshId(taken, id.replace(/-\d+$/, ""));
      taken.add(fresh);
      renamed.set(id, fresh);
    }
    for (const [old, fresh] of renamed) {
      const job = this.job(old);
      if (job === null) continue;
      const copy = job.clone() as YAMLMap;
      copy.set(spelling(copy, "id", JOB_ALIASES) ?? "id", fresh);
      jobList(this.doc)?.add(copy);
      for (const item of this.parentsOf(copy)?.items ?? []) {
        if (isScalar(item)) item.value = renamed.get(String(item.value).replace(/^DAG-/, "")) ?? item.value;
      }
    }
    return renamed;
  }

  private put(map: YAMLMap, key: string, value: unknown): void {
    const old = map.get(key, true);
    if (isScalar(old) && (typeof value !== "object" || value === null)) old.value = value; // keeps its comment
    else map.set(key, this.node(value));
  }

  private node(value: unknown) {
    const node = this.doc.createNode(value);
    if (isMap(node)) for (const pair of node.items) if (isSeq(pair.value)) pair.value.flow = true;
    if (isSeq(node)) node.flow = true;
    return node;
  }

  private job(id: string): YAMLMap | null {
    return jobNodes(this.doc).find((node) => this.idOf(node) === id) ?? null;
  }

  private idOf(node: YAMLMap): string | null {
    const key = spelling(node, "id", JOB_ALIASES);
    const id = key === null ? null : node.get(key);
    return typeof id === "string" || typeof id === "number" ? String(id) : null;
  }

  /** The list of parents as a node; a single name becomes a list of one. */
  private parentsOf(job: YAMLMap): YAMLSeq | null {
    const key = spelling(job, "depends_on", JOB_ALIASES);
    if (key === null) return null;
    const node = job.get(key, true);
    if (isSeq(node)) return node;
    if (!isScalar(node) || node.value === null || node.value === "") return null;
    const list = this.node([node.value]) as YAMLSeq;
    job.set(key, list);
    return list;
  }
}

function is(value: unknown, id: string): boolean {
  return String(value).replace(/^DAG-/, "") === id;
}

/** Whether an edge from `parent` to `child` would close a circle. */
export function closesCycle(jobs: readonly Pick<BuildJob, "id" | "parents">[], parent: string, child: string): boolean {
  const above = new Map(jobs.map((job) => [job.id, job.parents]));
  const queue = [parent];
  const seen = new Set<string>();
  while (queue.length > 0) {
    const id = queue.pop() as string;
    if (id === child) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    queue.push(...(above.get(id) ?? []));
  }
  return false;
}
