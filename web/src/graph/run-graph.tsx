// A run as a graph that grows: one node per job, or one per level and state when there are too many to see.

import {
  Background,
  Controls,
  Handle,
  MiniMap,
  Position,
  ReactFlow,
  useStore,
  ViewportPortal,
  type Edge,
  type MiniMapNodeProps,
  type Node,
  type ReactFlowInstance,
} from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { createContext, memo, useContext, useEffect, useMemo, useRef, type RefObject } from "react";
import type { JobView } from "../api/types";
import { Store, useWorld } from "../state/store";
import { classOf, signOf } from "../ui/states";
import { layOut, levelsOf, NODE_HEIGHT, NODE_WIDTH, shapeOf, type Spot } from "./layout";

const SINGLE_MAX = 1_200; // more jobs than this are shown by level

interface Props {
  readonly store: Store; // of the run
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly chosen: string;
  readonly filter: string;
  readonly onChoose: (job: string) => void;
  readonly onGrow: ((parent: string) => void) | null; // an edge was drawn into the void: a job to add
}

type JobNode = Node<Record<string, never>, "job">;
type LevelNode = Node<{ level: number; counts: Readonly<Record<string, number>> }, "level">;

export function RunGraph({ store, jobs, chosen, filter, onChoose, onGrow }: Props) {
  const listed = useMemo(() => [...jobs.values()], [jobs]);
  if (listed.length > SINGLE_MAX) return <LevelGraph jobs={listed} />;
  return <JobGraph store={store} jobs={listed} chosen={chosen} filter={filter} onChoose={onChoose} onGrow={onGrow} />;
}

function JobGraph({ store, jobs, chosen, filter, onChoose, onGrow }: Omit<Props, "jobs"> & { readonly jobs: readonly JobView[] }) {
  const shape = shapeOf(jobs);
  const seen = useMemo<Seen>(() => ({ store, filter }), [store, filter]);
  // Nodes and edges depend on the shape alone. A change of state does not pass through React Flow: each box looks
  // at its own job, so that a batch costs what changed, not what there is.
  const spots = useMemo<ReadonlyMap<string, Spot>>(() => layOut(jobs), [shape]);
  const edges = useMemo<Edge[]>(
    () =>
      jobs.flatMap((job) =>
        job.parents.map((parent) => ({ id: `${parent}>${job.id}`, source: parent, target: job.id, focusable: false })),
      ),
    [shape],
  );
  const isCrowd = jobs.length > CROWD;
  const lines = useMemo(() => (isCrowd ? linesOf(jobs, spots) : ""), [isCrowd, spots]);
  const base = useMemo<JobNode[]>(
    () => jobs.map((job) => ({ id: job.id, type: "job", position: spots.get(job.id) ?? ORIGIN, data: NO_DATA, ...SIZE })),
    [spots],
  );
  const nodes = useMemo(
    () => (chosen === "" ? base : base.map((node) => (node.id === chosen ? { ...node, selected: true } : node))),
    [base, chosen],
  );
  const acts = useRef({ onChoose, onGrow });
  acts.current = { onChoose, onGrow };
  return (
    <SeenContext.Provider value={seen}>
      <Flow nodes={nodes} edges={isCrowd ? NO_EDGES : edges} lines={lines} chosen={chosen} mayGrow={onGrow !== null} acts={acts} />
    </SeenContext.Provider>
  );
}

interface FlowProps {
  readonly nodes: JobNode[];
  readonly edges: Edge[];
  readonly lines: string; // all edges as one path, instead of `edges`
  readonly chosen: string;
  readonly mayGrow: boolean;
  readonly acts: RefObject<Pick<Props, "onChoose" | "onGrow">>;
}

const Flow = memo(function Flow({ nodes, edges, lines, chosen, mayGrow, acts }: FlowProps) {
  const flow = useRef<ReactFlowInstance<JobNode> | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const width = useRef(0);
  const count = nodes.length;
  useEffect(() => {
    // A window that became narrower by the panel shows the whole: unless there is too much to read then, and the job
    // that was chosen matters more.
    const resized = new ResizeObserver(() => {
      if (box.current === null || box.current.clientWidth === width.current) return;
      width.current = box.current.clientWidth;
      const isCrowded = count > CROWD && chosen !== "";
      void flow.current?.fitView(isCrowded ? { nodes: [{ id: chosen }], maxZoom: 1, minZoom: 0.6 } : {});
    });
    if (box.current !== null) resized.observe(box.current); // tells at once, when React Flow knows the size too
    return () => resized.disconnect();
  }, [count, chosen]);
  useEffect(() => void flow.current?.fitView(), [edges, lines]); // a run that grew is seen whole
  return (
    <ReactFlow
      ref={box}
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      onInit={(instance) => (flow.current = instance)}
      onNodeClick={(_, node) => acts.current.onChoose(node.id)}
      onPaneClick={() => acts.current.onChoose("")}
      nodesDraggable={false}
      nodesConnectable={mayGrow}
      isValidConnection={never}
      onConnectEnd={(_, drawn) => {
        if (drawn.fromNode !== null && drawn.toNode === null) acts.current.onGrow?.(drawn.fromNode.id);
      }}
      selectNodesOnDrag={false}
      deleteKeyCode={null}
      onlyRenderVisibleElements={count > CROWD}
      fitView
      minZoom={0.05}
      proOptions={NO_ATTRIBUTION}
    >
      <Background gap={24} />
      <Controls showInteractive={false} />
      {lines !== "" && (
        <ViewportPortal>
          <svg className="all-edges" aria-hidden="true">
            <path d={lines} />
          </svg>
        </ViewportPortal>
      )}
      <Overview count={count} />
    </ReactFlow>
  );
});

/** All edges as one path: a thousand elements of their own would each be painted anew with every change. */
function linesOf(jobs: readonly JobView[], spots: ReadonlyMap<string, Spot>): string {
  const parts: string[] = [];
  for (const job of jobs) {
    const to = spots.get(job.id);
    if (to === undefined) continue;
    for (const parent of job.parents) {
      const from = spots.get(parent);
      if (from === undefined) continue;
      const [x, y] = [from.x + NODE_WIDTH, from.y + NODE_HEIGHT / 2];
      const [toX, toY] = [to.x, to.y + NODE_HEIGHT / 2];
      const bend = Math.max(20, Math.abs(toX - x) / 2);
      parts.push(`M${x} ${y}C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`);
    }
  }
  return parts.join("");
}

/** From far away nobody can read, and boxes are plain. */
function useFar(): boolean {
  return useStore((flow) => flow.transform[2] < FAR);
}

/** The small map, where one sees only a part of a large run. */
function Overview({ count }: { readonly count: number }) {
  const isFar = useFar();
  return count > 30 && !isFar ? <MiniMap pannable zoomable nodeComponent={MiniBox} /> : null;
}

const never = () => false;
const NO_ATTRIBUTION = { hideAttribution: true };
const NO_DATA = {};
const NO_EDGES: Edge[] = [];
const CROWD = 150;
const FAR = 0.35; // of the natural size
const ORIGIN: Spot = { x: 0, y: 0 };
// Sizes and handles are known: nothing has to be measured before it can be placed.
const HANDLE = { width: 5, height: 5, y: NODE_HEIGHT / 2 - 2.5 };
const SIZE = {
  width: NODE_WIDTH,
  height: NODE_HEIGHT,
  measured: { width: NODE_WIDTH, height: NODE_HEIGHT },
  handles: [
    { ...HANDLE, type: "target" as const, position: Position.Left, x: -2.5 },
    { ...HANDLE, type: "source" as const, position: Position.Right, x: NODE_WIDTH - 2.5 },
  ],
  ariaRole: "button" as const,
};

interface Seen {
  readonly store: Store;
  readonly filter: string;
}

const SeenContext = createContext<Seen>({ store: new Store(), filter: "" });

function useJob(id: string): { readonly job: JobView | undefined; readonly isDim: boolean } {
  const { store, filter } = useContext(SeenContext);
  const job = useWorld(store, (world) => world.jobs.get(id));
  return { job, isDim: filter !== "" && job?.state !== filter };
}

function LevelGraph({ jobs }: { readonly jobs: readonly JobView[] }) {
  const { nodes, edges } = useMemo(() => byLevel(jobs), [jobs]);
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      nodesDraggable={false}
      nodesConnectable={false}
      fitView
      minZoom={0.05}
      proOptions={{ hideAttribution: true }}
    >
      <Background gap={24} />
      <Controls showInteractive={false} />
    </ReactFlow>
  );
}

function byLevel(jobs: readonly JobView[]): { nodes: LevelNode[]; edges: Edge[] } {
  const levels = levelsOf(jobs);
  const counts: Record<string, number>[] = [];
  for (const job of jobs) {
    const level = levels.get(job.id) ?? 0;
    const row = (counts[level] ??= {});
    row[job.state] = (row[job.state] ?? 0) + 1;
  }
  const nodes = counts.map((row, level) => ({
    id: `level-${level}`,
    type: "level" as const,
    position: { x: level * 240, y: 0 },
    data: { level, counts: row },
  }));
  const edges = nodes.slice(1).map((node, at) => ({ id: `e${at}`, source: `level-${at}`, target: node.id }));
  return { nodes, edges };
}

const JobBox = memo(function JobBox({ id, selected }: { id: string; selected?: boolean }) {
  const { job, isDim } = useJob(id);
  const isFar = useFar();
  if (job === undefined) return null;
  if (isFar) {
    const words = `${job.id}: ${job.state.toLowerCase()}`;
    return <div className={`node is-far ${classOf(job.state)}${selected ? " is-chosen" : ""}${isDim ? " is-dim" : ""}`} title={words} />;
  }
  return (
    <div
      className={`node ${classOf(job.state)}${selected ? " is-chosen" : ""}${isDim ? " is-dim" : ""}`}
      title={job.reason || job.state.toLowerCase()}
    >
      <Handle type="target" position={Position.Left} />
      <span className="sign" aria-hidden="true">
        {signOf(job.state)}
      </span>
      <span className="label">{job.id}</span>
      {job.attempts > 1 && <span className="tries">×{job.attempts}</span>}
      <Handle type="source" position={Position.Right} />
    </div>
  );
});

const MiniBox = memo(function MiniBox({ id, x, y, width, height }: MiniMapNodeProps) {
  const { job } = useJob(id);
  return <rect className={`react-flow__minimap-node ${classOf(job?.state ?? "PENDING")}`} x={x} y={y} width={width} height={height} rx={6} />;
});

const LevelBox = memo(function LevelBox({ data }: { data: LevelNode["data"] }) {
  const total = Object.values(data.counts).reduce((sum, count) => sum + count, 0);
  return (
    <div className="node level">
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <strong>
        level {data.level}: {total} jobs
      </strong>
      <ul>
        {Object.entries(data.counts).map(([state, count]) => (
          <li key={state} className={classOf(state)}>
            {signOf(state)} {count} {state.toLowerCase()}
          </li>
        ))}
      </ul>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
});

const NODE_TYPES = { job: JobBox, level: LevelBox };
