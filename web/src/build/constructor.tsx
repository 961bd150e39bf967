// The constructor: a pipeline drawn and written at once. What people do in the graph, the sidebar or the editor all
// becomes the YAML of one snapshot, whose history can be walked both ways.

import { lazy, Suspense, useCallback, useEffect, useMemo, useReducer, useState } from "react";
import { useLocation, useSearch } from "wouter";
import type { Saved, Submitted } from "../api/types";
import { NODE_HEIGHT, NODE_WIDTH, type Spot } from "../graph/layout";
import { useLive } from "../state/live";
import { useAct } from "../ui/act";
import { Tabs } from "../ui/tabs";
import { aligned, type Way } from "./align";
import { Canvas, spotsOf } from "./canvas";
import { edited, EMPTY, parse, type Editor, type Flaw } from "./document";
import { Files } from "./files";
import { begin, stepped, type Snapshot } from "./history";
import { freshId } from "./ids";
import { fromSource, LoadDialog } from "./load";
import { Palette, Toolbar } from "./tools";
import { pythonOf } from "./python";
import { jobTypes, type PipelineSchema } from "./schema";
import { JobFields, RootFields } from "./sidebar";
import { useCheck } from "./use-check";
import { useDraft } from "./use-draft";
import { useKeys } from "./use-keys";

const TextEditor = lazy(() => import("./editor"));
const NO_FLAWS: readonly Flaw[] = [];
const BLANK: Snapshot = { text: EMPTY, spots: {}, files: {}, binary: {} };
const SIDES = ["job", "pipeline", "files"] as const;
const TEXTS = ["YAML", "Python"] as const;

/** A page per subject: another draft or another run begins anew. */
export default function ConstructorPage() {
  const search = new URLSearchParams(useSearch());
  const [, go] = useLocation();
  const draft = search.get("draft");
  const run = search.get("run");
  const pipeline = search.get("pipeline");
  useEffect(() => {
    if (draft !== null) return;
    const name = `${pipeline ?? (run === null ? "draft" : `of-${run}`)}-${Math.random().toString(36).slice(2, 7)}`;
    const from = run !== null ? `&run=${encodeURIComponent(run)}` : pipeline !== null ? `&pipeline=${encodeURIComponent(pipeline)}` : "";
    go(`/dags/new?draft=${encodeURIComponent(name)}${from}`, { replace: true });
  }, [draft, run, pipeline]);
  if (draft === null) return null;
  const from = run !== null ? ({ kind: "runs", name: run } as const) : pipeline !== null ? ({ kind: "pipelines", name: pipeline } as const) : null;
  return <Constructor key={draft} draft={draft} from={from} />;
}

interface From {
  readonly kind: "runs" | "pipelines";
  readonly name: string;
}

function Constructor({ draft: name, from }: { readonly draft: string; readonly from: From | null }) {
  const { client } = useLive();
  const [, go] = useLocation();
  const act = useAct();
  const [history, dispatch] = useReducer(stepped, BLANK, begin);
  const { now } = history;
  const [isTouched, setTouched] = useState(false);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [side, setSide] = useState<(typeof SIDES)[number]>("job");
  const [language, setLanguage] = useState<(typeof TEXTS)[number]>("YAML");
  const [isLoading, setLoading] = useState(false);
  const [notice, setNotice] = useState("");
  const [schema, setSchema] = useState<PipelineSchema | null>(null);

  const read = useMemo(() => parse(now.text), [now.text]);
  const [graph, setGraph] = useState(read); // the last text that could be read: what is typed half is not drawn
  useEffect(() => {
    if (read.isReadable) setGraph(read);
  }, [read]);
  const { flaws: checked } = useCheck(client, now);
  const flaws = read.isReadable ? (checked ?? NO_FLAWS) : read.flaws;

  const load = useCallback((snapshot: Snapshot) => dispatch({ kind: "load", next: snapshot }), []);
  const drafting = useDraft({ client, name, now, isTouched, onLoad: load });
  useEffect(() => {
    client.get<PipelineSchema>("/api/v1/schema/pipeline").then(setSchema, () => undefined);
  }, [client]);
  useEffect(() => {
    if (from === null || drafting.state !== "new" || isTouched) return;
    void act.run(async () => {
      const { snapshot, leftOut } = await fromSource(client, from.kind, from.name);
      load(snapshot);
      setTouched(true);
      if (leftOut.length > 0) setNotice(`Too large to be edited here, and left out: ${leftOut.join(", ")}`);
    });
  }, [client, from?.name, drafting.state]);

  function change(next: Partial<Snapshot>, tag = "") {
    setTouched(true);
    dispatch({ kind: "change", next, tag });
  }
  function edit(what: (editor: Editor) => void, more: Partial<Snapshot> = {}, tag = "") {
    act.clear();
    void act.run(async () => change({ text: edited(now.text, what), ...more }, tag));
  }
  const placed = () => spotsOf(graph.jobs, now.spots);

  function add(type: string, at?: Spot) {
    const id = freshId(new Set(graph.jobs.map((job) => job.id)), type === "run" ? "task" : type);
    const parents = at === undefined && chosen.size === 1 ? [...chosen] : [];
    const fields: Record<string, unknown> = { id, ...STARTERS[type], ...(parents.length > 0 ? { depends_on: parents } : {}) };
    edit((editor) => editor.add(fields), at === undefined ? {} : { spots: { ...placed(), [id]: at } });
    setChosen(new Set([id]));
    setSide("job");
  }
  function remove(jobs: readonly string[], edges: readonly (readonly [string, string])[] = []) {
    const gone = new Set(jobs);
    edit((editor) => {
      for (const [parent, child] of edges) if (!gone.has(parent) && !gone.has(child)) editor.disconnect(parent, child);
      if (jobs.length > 0) editor.remove(jobs);
    });
    setChosen(new Set());
  }
  function duplicate() {
    const spots = placed();
    let copies: ReadonlyMap<string, string> = new Map();
    const text = edited(now.text, (editor) => {
      copies = editor.duplicate([...chosen]);
    });
    for (const [old, fresh] of copies) {
      const spot = spots[old];
      if (spot) spots[fresh] = { x: spot.x + 32, y: spot.y + 64 };
    }
    change({ text, spots });
    setChosen(new Set(copies.values()));
  }
  function rename(old: string, id: string) {
    const { [old]: spot, ...others } = now.spots;
    edit((editor) => editor.rename(old, id), spot === undefined ? {} : { spots: { ...others, [id]: spot } });
    setChosen(new Set([id]));
  }
  const align = (way: Way) => change({ spots: aligned(placed(), [...chosen], way, { width: NODE_WIDTH, height: NODE_HEIGHT }) });
  const undo = () => dispatch({ kind: "undo" });
  const redo = () => dispatch({ kind: "redo" });
  useKeys({ undo, redo, duplicate: () => chosen.size > 0 && duplicate(), all: () => setChosen(new Set(graph.jobs.map((job) => job.id))) });

  async function deploy() {
    const { text: yaml, files, binary } = now;
    const made = await act.run(() => client.change<Submitted>("POST", "/api/v1/runs", { yaml, files, binary }));
    if (made !== undefined) go(`/runs/${made.run}`);
  }
  async function save() {
    const { text: yaml, files, binary } = now;
    const path = `/api/v1/pipelines/${encodeURIComponent(graph.name)}`;
    const kept = await act.run(() => client.change<Saved>("PUT", path, { yaml, files, binary }));
    if (kept !== undefined) setNotice(`Saved as “${graph.name}”, version ${kept.version}.`);
  }
  const chosenJob = chosen.size === 1 ? graph.jobs.find((job) => chosen.has(job.id)) : undefined;
  const flawed = useMemo(() => flawedJobs(flaws, graph.jobs), [flaws, graph.jobs]);
  return (
    <div className="constructor">
      <Toolbar
        name={graph.name || name}
        draftState={drafting.state}
        chosen={chosen.size}
        canUndo={history.past.length > 0}
        canRedo={history.future.length > 0}
        flaws={checked === null ? null : flaws.length}
        isBusy={act.isBusy}
        onUndo={undo}
        onRedo={redo}
        onDuplicate={duplicate}
        onDelete={() => remove([...chosen])}
        onAlign={align}
        onTidy={() => change({ spots: {} })}
        onLoad={() => setLoading(true)}
        onSave={() => void save()}
        onDeploy={() => void deploy()}
      />
      {drafting.state === "conflict" && (
        <p className="problem" role="alert">
          This draft was changed in another tab or by somebody else.{" "}
          <button type="button" onClick={() => void act.run(drafting.takeTheirs)}>
            Take theirs
          </button>{" "}
          <button type="button" onClick={() => void act.run(drafting.keepMine)}>
            Keep mine
          </button>
        </p>
      )}
      {drafting.problem !== "" && <p className="problem">The draft could not be saved: {drafting.problem}</p>}
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      {notice !== "" && <p className="notice">{notice}</p>}
      <div className="build-grid">
        <Canvas
          jobs={graph.jobs}
          spots={now.spots}
          chosen={chosen}
          flawed={flawed}
          onChosen={setChosen}
          onMoved={(spots) => change({ spots })}
          onConnect={(parent, child) => edit((editor) => editor.connect(parent, child))}
          onDelete={remove}
          onDrop={add}
        >
          <Palette types={jobTypes(schema)} onAdd={add} />
        </Canvas>
        <section className="build-side">
          <Tabs label="Settings" names={SIDES} chosen={side} onChoose={setSide} />
          {side === "job" && (
            <JobFields
              schema={schema}
              job={chosenJob}
              count={chosen.size}
              files={[...Object.keys(now.files), ...Object.keys(now.binary)]}
              onRename={rename}
              onChange={(id, field, value) => edit((editor) => editor.set(id, field, value))}
            />
          )}
          {side === "pipeline" && (
            <RootFields schema={schema} root={graph.root} onChange={(field, value) => edit((editor) => editor.setRoot(field, value))} />
          )}
          {side === "files" && <Files files={now.files} binary={now.binary} onChange={(next) => change(next, "files")} />}
        </section>
        <section className="build-text">
          <div className="run-tools">
            <Tabs label="Text" names={TEXTS} chosen={language} onChoose={setLanguage} />
            <FlawList flaws={flaws} isKnown={!read.isReadable || checked !== null} />
          </div>
          <Suspense fallback={<p className="empty">…</p>}>
            {language === "YAML" ? (
              <TextEditor label="YAML" language="yaml" text={now.text} flaws={flaws} onText={(text) => change({ text }, "type")} />
            ) : (
              <TextEditor label="Python" language="python" text={pythonOf(graph)} flaws={NO_FLAWS} onText={null} />
            )}
          </Suspense>
        </section>
      </div>
      {isLoading && <LoadDialog onClose={() => setLoading(false)} />}
    </div>
  );
}

const STARTERS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  run: { command: "echo hello" },
  service: { type: "service", command: "python3 -m http.server $TITAN_PORT", port: 0 },
  gate: { type: "gate", hitl_message: "May it go on?" },
  pipeline: { type: "pipeline", pipeline: "" },
};

/** Problems name jobs by their position: `jobs[3].file`. */
function flawedJobs(flaws: readonly Flaw[], jobs: readonly { readonly id: string }[]): ReadonlySet<string> {
  const ids = flaws.flatMap((flaw) => {
    const at = /^jobs\[(\d+)\]/.exec(flaw.field)?.[1];
    const job = at === undefined ? undefined : jobs[Number(at)];
    return job === undefined ? [] : [job.id];
  });
  return new Set(ids);
}

function FlawList({ flaws, isKnown }: { readonly flaws: readonly Flaw[]; readonly isKnown: boolean }) {
  if (!isKnown) return <span className="flaws">checking…</span>;
  if (flaws.length === 0) return <span className="flaws is-fine">✓ it can run</span>;
  return (
    <ul className="flaws" aria-label="Problems">
      {flaws.slice(0, 5).map((flaw, at) => (
        <li key={at}>
          {flaw.line > 0 && <code>{`${flaw.line}:${flaw.column} `}</code>}
          {flaw.field !== "" && <code>{flaw.field} </code>}
          {flaw.message}
        </li>
      ))}
      {flaws.length > 5 && <li>and {flaws.length - 5} more</li>}
    </ul>
  );
}
