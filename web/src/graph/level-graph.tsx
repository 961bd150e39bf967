// A run with too many jobs to be seen one by one: a box per level, or per some levels when they are many too. A
// click on one lists its jobs.

import { Background, Controls, Handle, Position, ReactFlow, type Edge, type Node } from "@xyflow/react";
import { memo, useMemo } from "react";
import type { JobView } from "../api/types";
import { useWorld, type Store } from "../state/store";
import { classOf, signOf } from "../ui/states";
import { bandsOf, type Band } from "./bands";

const COLUMN = 250;
const ROW = 170;
const PER_ROW = 6; // as wide as it is high, about: one long line could not be read

type BandNode = Node<{ band: Band; counts: Readonly<Record<string, number>> }, "band">;

interface Props {
  readonly store: Store;
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly onLevel: (jobs: ReadonlySet<string>) => void;
}

export function LevelGraph({ store, jobs, onLevel }: Props) {
  const shape = useWorld(store, (world) => world.shape);
  const bands = useMemo(() => bandsOf([...store.get().jobs.values()]), [store, shape]);
  const edges = useMemo<Edge[]>(
    () =>
      bands.slice(1).map((_, at) => ({ id: `e${at}`, source: `band-${at}`, target: `band-${at + 1}`, type: "smoothstep" })),
    [bands],
  );
  const nodes = useMemo<BandNode[]>(
    () =>
      bands.map((band, at) => ({
        id: `band-${at}`,
        type: "band",
        position: { x: (at % PER_ROW) * COLUMN, y: Math.floor(at / PER_ROW) * ROW },
        data: { band, counts: countsOf(band, jobs) },
        ariaRole: "button",
      })),
    [bands, jobs],
  );
  return (
    <ReactFlow
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      onNodeClick={(_, node) => onLevel(new Set(node.data.band.jobs))}
      nodesDraggable={false}
      nodesConnectable={false}
      onlyRenderVisibleElements
      fitView
      minZoom={0.05}
      proOptions={NO_ATTRIBUTION}
    >
      <Background gap={24} />
      <Controls showInteractive={false} />
    </ReactFlow>
  );
}

function countsOf(band: Band, jobs: ReadonlyMap<string, JobView>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const id of band.jobs) {
    const state = jobs.get(id)?.state;
    if (state !== undefined) counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

const BandBox = memo(function BandBox({ data }: { data: BandNode["data"] }) {
  const { band, counts } = data;
  const words = band.first === band.last ? `level ${band.first}` : `levels ${band.first}–${band.last}`;
  return (
    <div className="node level" title="List these jobs">
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <strong>
        {words}: {band.jobs.length} {band.jobs.length === 1 ? "job" : "jobs"}
      </strong>
      <ul>
        {Object.entries(counts).map(([state, count]) => (
          <li key={state} className={classOf(state)}>
            {signOf(state)} {count} {state.toLowerCase()}
          </li>
        ))}
      </ul>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
});

const NODE_TYPES = { band: BandBox };
const NO_ATTRIBUTION = { hideAttribution: true };
