// React Flow around the boxes of jobs: what one sees of the canvas, and what the mouse does on it.

import {
  Background,
  Controls,
  MiniMap,
  ReactFlow,
  ReactFlowProvider,
  ViewportPortal,
  type Edge,
  type Node,
  type ReactFlowInstance,
} from "@xyflow/react";
import { memo, useCallback, useEffect, useRef, useState, type MouseEvent, type RefObject } from "react";
import { aim, jobAt, ZOOM_MIN } from "./aim";
import type { Arrow } from "./edits";
import { FarBoxes, JobBox, MiniBox, useFar } from "./job-box";
import type { Room, Way } from "./layout";

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
  readonly isCrowd: boolean; // only what is seen becomes elements, and from far away nothing does
  readonly isEditing: boolean; // what is about to be changed is marked on the boxes
  readonly lines: string; // all edges of a crowd as one path, besides `edges`
  readonly shape: unknown; // when it is another one, the run is shown whole again
  readonly way: Way;
  readonly chosen: string;
  readonly mayGrow: boolean;
  readonly acts: RefObject<Acts>;
}

export const Flow = memo(function Flow(props: Props) {
  return (
    <ReactFlowProvider>
      <FlowCanvas {...props} />
    </ReactFlowProvider>
  );
});

function FlowCanvas({ nodes, edges, isCrowd, isEditing, lines, shape, way, chosen, mayGrow, acts }: Props) {
  const flow = useRef<ReactFlowInstance<JobNode> | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const size = useRef<Room>({ width: 0, height: 0 });
  const isFar = useFar();
  const [isAimed, setAimed] = useState(false);
  const [isPart, setPart] = useState(false);
  const show = useCallback(() => {
    const [instance, own] = [flow.current, box.current];
    if (instance === null || own === null || own.clientWidth === 0) return;
    const found = aim(nodes, { width: own.clientWidth, height: own.clientHeight }, chosen, way);
    setPart(found.isPart);
    void instance.setViewport(found.viewport);
    setAimed(true);
  }, [nodes, chosen, way]);
  const showNow = useRef(show);
  showNow.current = show;
  useEffect(() => {
    // A canvas that became smaller by the panel shows the whole, or the job that was chosen when there is too much to be
    // read then. A line of text above it is no reason.
    const resized = new ResizeObserver(() => {
      if (box.current === null) return;
      const [{ clientWidth: width, clientHeight: height }, before] = [box.current, size.current];
      if (width === before.width && Math.abs(height - before.height) < before.height / 6) return;
      size.current = { width, height };
      showNow.current();
    });
    if (box.current !== null) resized.observe(box.current);
    return () => resized.disconnect();
  }, []);
  useEffect(() => showNow.current(), [shape]); // a run that grew is seen whole
  // A crowd from far away is a picture: a thousand elements that cannot be read would be gone through for every change.
  const isPicture = isCrowd && !isEditing && (isFar || !isAimed);
  const jobUnder = ({ clientX: x, clientY: y }: MouseEvent) =>
    isPicture && flow.current !== null ? jobAt(nodes, flow.current.screenToFlowPosition({ x, y })) : "";
  return (
    <ReactFlow
      ref={box}
      nodes={isPicture ? NO_NODES : nodes}
      edges={edges}
      nodeTypes={NODE_TYPES}
      onInit={(instance) => ((flow.current = instance), showNow.current())}
      onNodeClick={(_, node) => acts.current.onChoose(node.id)}
      onPaneClick={(event) => acts.current.onChoose(jobUnder(event))}
      onPaneMouseMove={(event) => {
        if (box.current !== null) box.current.title = jobUnder(event);
      }}
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
      onlyRenderVisibleElements={isCrowd}
      minZoom={ZOOM_MIN}
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
      {isFar ? (
        <ViewportPortal>
          <FarBoxes nodes={nodes} chosen={isPicture ? chosen : ""} />
        </ViewportPortal>
      ) : (
        (isPart || nodes.length > 30) && !isPicture && <MiniMap pannable zoomable style={size.current.width < SMALL ? SMALL_MAP : MAP} nodeComponent={MiniBox} />
      )}
    </ReactFlow>
  );
}

const NO_NODES: JobNode[] = [];
const never = () => false; // what is drawn becomes an edge by the run's change, not by React Flow
const SMALL = 500;
const SMALL_MAP = { width: 96, height: 64 };
const MAP = { width: 150, height: 100 };
const NO_ATTRIBUTION = { hideAttribution: true };
const NODE_TYPES = { job: JobBox };
