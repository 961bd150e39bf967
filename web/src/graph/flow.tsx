// React Flow around the boxes of jobs: what one sees of the canvas, and what the mouse does on it.

import {
  Background,
  Controls,
  MiniMap,
  ReactFlow,
  ViewportPortal,
  type Edge,
  type Node,
  type ReactFlowInstance,
} from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { memo, useEffect, useRef, type RefObject } from "react";
import type { Arrow } from "./edits";
import { FarBoxes, JobBox, MiniBox, useFar } from "./job-box";

export const CROWD = 150;

export type JobNode = Node<Record<string, never>, "job">;

export interface Acts {
  readonly onChoose: (job: string) => void;
  readonly onGrow: ((parent: string) => void) | null; // an edge was drawn into the void: a job to add
  readonly onDraw: ((arrow: Arrow) => void) | null; // from one job to another
  readonly onArrow: ((arrow: Arrow) => void) | null; // an edge was clicked
}

interface Props {
  readonly nodes: JobNode[];
  readonly edges: Edge[];
  readonly lines: string; // all edges as one path, besides `edges`
  readonly shape: unknown; // when it is another one, the run is shown whole again
  readonly chosen: string;
  readonly mayGrow: boolean;
  readonly acts: RefObject<Acts>;
}

export const Flow = memo(function Flow({ nodes, edges, lines, shape, chosen, mayGrow, acts }: Props) {
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
  useEffect(() => void flow.current?.fitView(), [shape]); // a run that grew is seen whole
  return (
    <ReactFlow
      ref={box}
      nodes={nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      onInit={(instance) => (flow.current = instance)}
      onNodeClick={(_, node) => acts.current.onChoose(node.id)}
      onPaneClick={() => acts.current.onChoose("")}
      onEdgeClick={(_, edge) => acts.current.onArrow?.({ parent: edge.source, child: edge.target })}
      nodesDraggable={false}
      nodesConnectable={mayGrow}
      connectionRadius={28}
      isValidConnection={never}
      onConnectEnd={(_, { fromNode, toNode, fromHandle }) => {
        if (fromNode === null) return;
        if (toNode === null) acts.current.onGrow?.(fromNode.id);
        else if (fromHandle?.type === "target") acts.current.onDraw?.({ parent: toNode.id, child: fromNode.id });
        else acts.current.onDraw?.({ parent: fromNode.id, child: toNode.id });
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
      <Far nodes={nodes} />
      <Overview count={count} />
    </ReactFlow>
  );
});

function Far({ nodes }: { readonly nodes: readonly JobNode[] }) {
  if (!useFar()) return null;
  return (
    <ViewportPortal>
      <FarBoxes nodes={nodes} />
    </ViewportPortal>
  );
}

/** The small map, where one sees only a part of a large run. */
function Overview({ count }: { readonly count: number }) {
  const isFar = useFar();
  return count > 30 && !isFar ? <MiniMap pannable zoomable nodeComponent={MiniBox} /> : null;
}

const never = () => false; // what is drawn becomes an edge by the run's change, not by React Flow
const NO_ATTRIBUTION = { hideAttribution: true };
const NODE_TYPES = { job: JobBox };
