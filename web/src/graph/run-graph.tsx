// A run as a graph that grows: one node per job, or one per level and state when there are too many to see.

import { Background, Controls, Handle, MiniMap, Position, ReactFlow, type Edge, type Node } from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { memo, useMemo } from "react";
import type { JobView } from "../api/types";
import { classOf, signOf } from "../ui/states";
import { layOut, levelsOf, shapeOf, type Spot } from "./layout";

const SINGLE_MAX = 1_200; // more jobs than this are shown by level

interface Props {
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly chosen: string;
  readonly filter: string;
  readonly onChoose: (job: string) => void;
}

type JobNode = Node<{ job: JobView; isDim: boolean }, "job">;
type LevelNode = Node<{ level: number; counts: Readonly<Record<string, number>> }, "level">;

export function RunGraph({ jobs, chosen, filter, onChoose }: Props) {
  const listed = useMemo(() => [...jobs.values()], [jobs]);
  if (listed.length > SINGLE_MAX) return <LevelGraph jobs={listed} />;
  return <JobGraph jobs={listed} chosen={chosen} filter={filter} onChoose={onChoose} />;
}

function JobGraph({
  jobs,
  chosen,
  filter,
  onChoose,
}: {
  readonly jobs: readonly JobView[];
  readonly chosen: string;
  readonly filter: string;
  readonly onChoose: (job: string) => void;
}) {
  const shape = shapeOf(jobs);
  // The layout depends on the shape alone: a change of state must not move what the eye rests on.
  const spots = useMemo<ReadonlyMap<string, Spot>>(() => layOut(jobs), [shape]);
  const edges = useMemo<Edge[]>(
    () =>
      jobs.flatMap((job) =>
        job.parents.map((parent) => ({ id: `${parent}>${job.id}`, source: parent, target: job.id })),
      ),
    [shape],
  );
  const nodes = useMemo<JobNode[]>(
    () =>
      jobs.map((job) => ({
        id: job.id,
        type: "job",
        position: spots.get(job.id) ?? { x: 0, y: 0 },
        selected: job.id === chosen,
        data: { job, isDim: filter !== "" && job.state !== filter },
      })),
    [jobs, spots, chosen, filter],
  );
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      onNodeClick={(_, node) => onChoose(node.id)}
      nodesDraggable={false}
      nodesConnectable={false}
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
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <span className="sign" aria-hidden="true">
        {signOf(job.state)}
      </span>
      <span className="label">{job.id}</span>
      {job.attempts > 1 && <span className="tries">×{job.attempts}</span>}
      <Handle type="source" position={Position.Right} isConnectable={false} />
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
