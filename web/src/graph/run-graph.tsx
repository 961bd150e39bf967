// A run as a graph that grows: one node per job, or one per level and state when there are too many to see.

import {
  Background,
  Controls,
  Handle,
  MiniMap,
  Position,
  ReactFlow,
  type Edge,
  type Node,
  type ReactFlowInstance,
} from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { memo, useEffect, useMemo, useRef } from "react";
import type { JobView } from "../api/types";
import { classOf, signOf } from "../ui/states";
import { layOut, levelsOf, NODE_HEIGHT, NODE_WIDTH, shapeOf, type Spot } from "./layout";

const SINGLE_MAX = 1_200; // more jobs than this are shown by level

interface Props {
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly chosen: string;
  readonly filter: string;
  readonly onChoose: (job: string) => void;
  readonly onGrow: ((parent: string) => void) | null; // an edge was drawn into the void: a job to add
}

type JobNode = Node<{ job: JobView; isDim: boolean }, "job">;
type LevelNode = Node<{ level: number; counts: Readonly<Record<string, number>> }, "level">;

export function RunGraph({ jobs, chosen, filter, onChoose, onGrow }: Props) {
  const listed = useMemo(() => [...jobs.values()], [jobs]);
  if (listed.length > SINGLE_MAX) return <LevelGraph jobs={listed} />;
  return <JobGraph jobs={listed} chosen={chosen} filter={filter} onChoose={onChoose} onGrow={onGrow} />;
}

function JobGraph({ jobs, chosen, filter, onChoose, onGrow }: Omit<Props, "jobs"> & { readonly jobs: readonly JobView[] }) {
  const shape = shapeOf(jobs);
  // The layout depends on the shape alone: a change of state must not move what the eye rests on.
  const spots = useMemo<ReadonlyMap<string, Spot>>(() => layOut(jobs), [shape]);
  const edges = useMemo<Edge[]>(
    () =>
      jobs.flatMap((job) =>
        job.parents.map((parent) => ({ id: `${parent}>${job.id}`, source: parent, target: job.id, focusable: false })),
      ),
    [shape],
  );
  const nodes = useStableNodes({ jobs, spots, chosen, filter });
  const flow = useRef<ReactFlowInstance<JobNode> | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const width = useRef(0);
  useEffect(() => {
    // A run that grew, and a window that became narrower by the panel, are seen whole: unless there is too much to
    // read then, and the job that was chosen matters more.
    const see = () => {
      const isCrowded = jobs.length > CROWD;
      void flow.current?.fitView(isCrowded && chosen !== "" ? { nodes: [{ id: chosen }], maxZoom: 1, minZoom: 0.6, duration: 150 } : { duration: 150 });
    };
    const resized = new ResizeObserver(() => {
      if (box.current === null || box.current.clientWidth === width.current) return;
      width.current = box.current.clientWidth;
      see();
    });
    if (box.current !== null) resized.observe(box.current); // tells at once, when React Flow knows the size too
    return () => resized.disconnect();
  }, [shape, chosen]);
  useEffect(() => void flow.current?.fitView({ duration: 150 }), [shape]);
  return (
    <ReactFlow
      ref={box}
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      onInit={(instance) => (flow.current = instance)}
      onNodeClick={(_, node) => onChoose(node.id)}
      onPaneClick={() => onChoose("")}
      nodesDraggable={false}
      nodesConnectable={onGrow !== null}
      isValidConnection={() => false}
      onConnectEnd={(_, drawn) => {
        if (onGrow !== null && drawn.fromNode !== null && drawn.toNode === null) onGrow(drawn.fromNode.id);
      }}
      selectNodesOnDrag={false}
      deleteKeyCode={null}
      onlyRenderVisibleElements
      fitView
      minZoom={0.05}
      proOptions={{ hideAttribution: true }}
    >
      <Background gap={24} />
      <Controls showInteractive={false} />
      {jobs.length > 30 && <MiniMap pannable zoomable nodeClassName={(node) => classOf((node as JobNode).data.job.state)} />}
    </ReactFlow>
  );
}

interface NodesFrom {
  readonly jobs: readonly JobView[];
  readonly spots: ReadonlyMap<string, Spot>;
  readonly chosen: string;
  readonly filter: string;
}

/** A job that did not change keeps its node object, so that only nodes of changed jobs are drawn again. */
function useStableNodes({ jobs, spots, chosen, filter }: NodesFrom): JobNode[] {
  const known = useRef(new Map<string, JobNode>());
  return useMemo(() => {
    const fresh = new Map<string, JobNode>();
    for (const job of jobs) {
      const position = spots.get(job.id) ?? ORIGIN;
      const selected = job.id === chosen;
      const isDim = filter !== "" && job.state !== filter;
      const old = known.current.get(job.id);
      const isSame =
        old !== undefined &&
        old.data.job === job &&
        old.position === position &&
        old.selected === selected &&
        old.data.isDim === isDim;
      fresh.set(job.id, isSame ? old : { id: job.id, type: "job", position, selected, data: { job, isDim }, ...SIZE });
    }
    known.current = fresh;
    return [...fresh.values()];
  }, [jobs, spots, chosen, filter]);
}

const CROWD = 60;
const ORIGIN: Spot = { x: 0, y: 0 };
// The size is known: nothing has to be measured before it can be placed.
const SIZE = { width: NODE_WIDTH, height: NODE_HEIGHT, ariaRole: "button" as const };

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

const JobBox = memo(function JobBox({ data, selected }: { data: JobNode["data"]; selected?: boolean }) {
  const { job, isDim } = data;
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
