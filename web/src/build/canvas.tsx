// The graph of the constructor: jobs are dragged, connected, chosen by a box, deleted. It draws what the YAML says
// and reports what people do; it keeps nothing but where things stand while they are being dragged.

import {
  applyNodeChanges,
  Background,
  Controls,
  Handle,
  MiniMap,
  Position,
  ReactFlow,
  SelectionMode,
  type Connection,
  type Edge,
  type Node,
  type NodeChange,
  type ReactFlowInstance,
} from "@xyflow/react";
import { memo, useEffect, useMemo, useRef, useState, type DragEvent, type ReactNode } from "react";
import { aim, CROWD } from "../graph/aim";
import { layOut, NODE_HEIGHT, NODE_WIDTH, type Spot } from "../graph/layout";
import { Icon, type IconName } from "../ui/icon";
import { closesCycle, type BuildJob } from "./document";

const ICONS: Readonly<Record<string, IconName>> = { run: "task", service: "service", gate: "gate", pipeline: "pipeline" };

export function iconOf(type: string): IconName {
  return ICONS[type] ?? "task";
}

export const DRAGGED = "application/x-titan-job";

interface Props {
  readonly jobs: readonly BuildJob[];
  readonly spots: Readonly<Record<string, Spot>>;
  readonly chosen: ReadonlySet<string>;
  readonly flawed: ReadonlySet<string>;
  readonly onChosen: (ids: ReadonlySet<string>) => void;
  readonly onMoved: (spots: Readonly<Record<string, Spot>>) => void;
  readonly onConnect: (parent: string, child: string) => void;
  readonly onDelete: (jobs: readonly string[], edges: readonly (readonly [string, string])[]) => void;
  readonly onDrop: (type: string, at: Spot) => void;
  readonly children: ReactNode; // laid over it
}

type BuildNode = Node<{ job: BuildJob; isFlawed: boolean }, "build">;

export function spotsOf(jobs: readonly BuildJob[], placed: Readonly<Record<string, Spot>>): Record<string, Spot> {
  const laid = layOut(jobs);
  return Object.fromEntries(jobs.map((job) => [job.id, placed[job.id] ?? laid.get(job.id) ?? { x: 0, y: 0 }]));
}

export function Canvas(props: Props) {
  const { jobs, spots, chosen, flawed, onChosen, onMoved, onConnect, onDelete, onDrop } = props;
  const flow = useRef<ReactFlowInstance<BuildNode> | null>(null);
  const placed = useMemo(() => spotsOf(jobs, spots), [jobs, spots]);
  const wanted = useMemo<BuildNode[]>(
    () =>
      jobs.map((job) => ({
        id: job.id,
        type: "build",
        position: placed[job.id] ?? { x: 0, y: 0 },
        selected: chosen.has(job.id),
        width: NODE_WIDTH,
        height: NODE_HEIGHT,
        data: { job, isFlawed: flawed.has(job.id) },
      })),
    [jobs, placed, chosen, flawed],
  );
  const box = useRef<HTMLDivElement>(null);
  const [isPart, setPart] = useState(false);
  // What is seen first can be read; the button shows the whole. The palette lies over the upper edge.
  const show = () => {
    const [instance, own, palette] = [flow.current, box.current, box.current?.querySelector<HTMLElement>(".palette")];
    if (instance === null || own === null) return;
    const top = palette == null ? 0 : palette.offsetTop + palette.offsetHeight;
    const first = wanted.length > CROWD ? (wanted[0]?.id ?? "") : "";
    const found = aim(wanted, { width: own.clientWidth, height: own.clientHeight - top }, first, "LR");
    void instance.setViewport({ ...found.viewport, y: found.viewport.y + top });
    setPart(found.isPart);
  };
  const isEmpty = jobs.length === 0;
  useEffect(show, [isEmpty]);
  const [nodes, setNodes] = useState(wanted);
  useEffect(() => setNodes(wanted), [wanted]);
  const [chosenEdges, setChosenEdges] = useState<ReadonlySet<string>>(new Set());
  const edges = useMemo<Edge[]>(
    () =>
      jobs.flatMap((job) =>
        job.parents
          .filter((parent) => jobs.some((each) => each.id === parent))
          .map((parent) => {
            const id = `${parent}>${job.id}`;
            return { id, source: parent, target: job.id, selected: chosenEdges.has(id) };
          }),
      ),
    [jobs, chosenEdges],
  );

  function change(changes: NodeChange<BuildNode>[]) {
    const kept = changes.filter((each) => each.type !== "remove");
    const next = applyNodeChanges(kept, nodes);
    setNodes(next);
    if (kept.some((each) => each.type === "select")) {
      onChosen(new Set(next.filter((node) => node.selected).map((node) => node.id)));
    }
  }
  function moved(dragged: readonly BuildNode[]) {
    const next: Record<string, Spot> = { ...placed };
    for (const node of dragged) next[node.id] = { x: Math.round(node.position.x), y: Math.round(node.position.y) };
    onMoved(next);
  }
  function dropped(event: DragEvent) {
    const type = event.dataTransfer.getData(DRAGGED);
    if (type === "" || flow.current === null) return;
    event.preventDefault();
    const at = flow.current.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    onDrop(type, { x: Math.round(at.x - NODE_WIDTH / 2), y: Math.round(at.y - NODE_HEIGHT / 2) });
  }
  const isAllowed = ({ source, target }: Connection | Edge) =>
    source !== target && !closesCycle(jobs, source, target) && !jobs.find((job) => job.id === target)?.parents.includes(source);
  return (
    <div className="build-canvas" ref={box} onDragOver={(event) => event.preventDefault()} onDrop={dropped}>
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        onInit={(instance) => ((flow.current = instance), show())}
        onNodesChange={change}
        onEdgesChange={(changes) => {
          const next = new Set(chosenEdges);
          for (const each of changes) if (each.type === "select") each.selected ? next.add(each.id) : next.delete(each.id);
          setChosenEdges(next);
        }}
        onNodeDragStop={(_, __, dragged) => moved(dragged)}
        onSelectionDragStop={(_, dragged) => moved(dragged)}
        onConnect={({ source, target }) => onConnect(source, target)}
        isValidConnection={isAllowed}
        onDelete={({ nodes: gone, edges: cut }) =>
          onDelete(
            gone.map((node) => node.id),
            cut.map((edge) => [edge.source, edge.target] as const),
          )
        }
        deleteKeyCode={["Delete", "Backspace"]}
        multiSelectionKeyCode={["Shift", "Control", "Meta"]}
        selectionOnDrag
        panOnDrag={[1, 2]}
        panOnScroll
        selectionMode={SelectionMode.Partial}
        snapToGrid
        snapGrid={[8, 8]}
        connectionRadius={30}
        minZoom={0.1}
        proOptions={{ hideAttribution: true }}
      >
        <Background gap={24} />
        <Controls showInteractive={false} fitViewOptions={FIT} />
        {isPart && <MiniMap pannable zoomable style={MAP} />}
      </ReactFlow>
      {props.children}
      {isEmpty && (
        <p className="build-hint">Drag a task here, or click it in the palette. Draw from the right side of one job to another to connect them.</p>
      )}
    </div>
  );
}

const BuildBox = memo(function BuildBox({ data, selected }: { data: BuildNode["data"]; selected?: boolean }) {
  const { job, isFlawed } = data;
  const what = String(job.fields["file"] ?? job.fields["command"] ?? job.fields["hitl_message"] ?? job.fields["pipeline"] ?? "");
  return (
    <div className={`node build type-${job.type}${selected ? " is-chosen" : ""}${isFlawed ? " is-flawed" : ""}`} title={what}>
      <Handle type="target" position={Position.Left} />
      <span className="sign" aria-hidden="true">
        <Icon name={iconOf(job.type)} />
      </span>
      <span className="label">
        {job.id}
        {what !== "" && <small>{what}</small>}
      </span>
      <Handle type="source" position={Position.Right} />
    </div>
  );
});

const NODE_TYPES = { build: BuildBox };
const FIT = { maxZoom: 1, padding: 0.12 };
const MAP = { width: 96, height: 64 };
