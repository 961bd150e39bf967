// A job as a box. Each looks at its own job in the store: a change of state repaints its box and no other.

import { Handle, Position, useStore, type MiniMapNodeProps } from "@xyflow/react";
import { createContext, memo, useContext } from "react";
import type { JobView } from "../api/types";
import { Store, useJobOf } from "../state/store";
import { classOf, signOf } from "../ui/states";
import { NODE_HEIGHT, NODE_WIDTH } from "./layout";

const FAR = 0.35; // of the natural size

// Sizes and handles are known: nothing has to be measured before it can be placed.
const HANDLE = { width: 5, height: 5, y: NODE_HEIGHT / 2 - 2.5 };
export const BOX = {
  width: NODE_WIDTH,
  height: NODE_HEIGHT,
  measured: { width: NODE_WIDTH, height: NODE_HEIGHT },
  handles: [
    { ...HANDLE, type: "target" as const, position: Position.Left, x: -2.5 },
    { ...HANDLE, type: "source" as const, position: Position.Right, x: NODE_WIDTH - 2.5 },
  ],
  ariaRole: "button" as const,
};

export interface Seen {
  readonly store: Store;
  readonly filter: string;
  readonly marks: ReadonlyMap<string, string>; // what is to become of jobs: new, skip, cancel, other
}

export const SeenContext = createContext<Seen>({ store: new Store(), filter: "", marks: new Map() });

interface Looked {
  readonly job: JobView | undefined;
  readonly classes: string;
}

function useLook(id: string, isChosen: boolean): Looked {
  const { store, filter, marks } = useContext(SeenContext);
  const job = useJobOf(store, id);
  const mark = marks.get(id);
  const classes = [classOf(job?.state ?? "PENDING")];
  if (isChosen) classes.push("is-chosen");
  if (filter !== "" && job?.state !== filter) classes.push("is-dim");
  if (mark !== undefined) classes.push(`will-${mark}`);
  return { job, classes: classes.join(" ") };
}

/** From far away nobody can read, and boxes are plain. */
export function useFar(): boolean {
  return useStore((flow) => flow.transform[2] < FAR);
}

export const JobBox = memo(function JobBox({ id, selected }: { id: string; selected?: boolean }) {
  const { job, classes } = useLook(id, selected === true);
  const isFar = useFar();
  const state = job?.state ?? "PENDING";
  if (isFar) return <div className={`node is-far ${classes}`} title={`${id}: ${state.toLowerCase()}`} />;
  return (
    <div className={`node ${classes}`} title={job?.reason || (job === undefined ? "to be added" : state.toLowerCase())}>
      <Handle type="target" position={Position.Left} />
      <span className="sign" aria-hidden="true">
        {job === undefined ? "+" : signOf(state)}
      </span>
      <span className="label">{id}</span>
      {job !== undefined && job.attempts > 1 && <span className="tries">×{job.attempts}</span>}
      <Handle type="source" position={Position.Right} />
    </div>
  );
});

export const MiniBox = memo(function MiniBox({ id, x, y, width, height }: MiniMapNodeProps) {
  const { job } = useLook(id, false);
  return <rect className={`react-flow__minimap-node ${classOf(job?.state ?? "PENDING")}`} x={x} y={y} width={width} height={height} rx={6} />;
});
