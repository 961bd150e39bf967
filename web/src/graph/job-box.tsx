// A job as a box. Each looks at its own job in the store: a change of state repaints its box and no other.

import { Handle, Position, useStore, type MiniMapNodeProps } from "@xyflow/react";
import { createContext, memo, useContext, useMemo } from "react";
import type { JobView } from "../api/types";
import { Store, useJobOf, useWorld } from "../state/store";
import { classOf, signOf } from "../ui/states";
import { NODE_HEIGHT, NODE_WIDTH, type Way } from "./layout";

const FAR = 0.5; // of the natural size: 13 px are 6 on the screen

// Sizes and handles are known: nothing has to be measured before it can be placed.
const HANDLE = { width: 5, height: 5 };
const MIDDLE = { x: NODE_WIDTH / 2 - 2.5, y: NODE_HEIGHT / 2 - 2.5 };
const SIDES = {
  LR: { target: Position.Left, source: Position.Right },
  TB: { target: Position.Top, source: Position.Bottom },
} as const;
const SIZES = {
  width: NODE_WIDTH,
  height: NODE_HEIGHT,
  measured: { width: NODE_WIDTH, height: NODE_HEIGHT },
  ariaRole: "button" as const,
};
export const BOXES = {
  LR: {
    ...SIZES,
    handles: [
      { ...HANDLE, type: "target" as const, position: SIDES.LR.target, x: -2.5, y: MIDDLE.y },
      { ...HANDLE, type: "source" as const, position: SIDES.LR.source, x: NODE_WIDTH - 2.5, y: MIDDLE.y },
    ],
  },
  TB: {
    ...SIZES,
    handles: [
      { ...HANDLE, type: "target" as const, position: SIDES.TB.target, x: MIDDLE.x, y: -2.5 },
      { ...HANDLE, type: "source" as const, position: SIDES.TB.source, x: MIDDLE.x, y: NODE_HEIGHT - 2.5 },
    ],
  },
} as const;

export interface Seen {
  readonly store: Store;
  readonly way: Way; // where edges come in and go out
  readonly filter: string;
  readonly marks: ReadonlyMap<string, string>; // what is to become of jobs: new, skip, cancel, other
}

export const SeenContext = createContext<Seen>({ store: new Store(), way: "LR", filter: "", marks: new Map() });

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
  return useFar() ? <FarBox id={id} isChosen={selected === true} /> : <NearBox id={id} isChosen={selected === true} />;
});

/** What can be clicked and marked; `FarBoxes` paints the states of all at once. */
function FarBox({ id, isChosen }: { readonly id: string; readonly isChosen: boolean }) {
  const mark = useContext(SeenContext).marks.get(id);
  return <div className={`node is-far${isChosen ? " is-chosen" : ""}${mark === undefined ? "" : ` will-${mark}`}`} title={id} />;
}

function NearBox({ id, isChosen }: { readonly id: string; readonly isChosen: boolean }) {
  const { job, classes } = useLook(id, isChosen);
  const sides = SIDES[useContext(SeenContext).way];
  const state = job?.state ?? "PENDING";
  return (
    <div className={`node ${classes}`} title={job?.reason || (job === undefined ? "to be added" : state.toLowerCase())}>
      <Handle type="target" position={sides.target} />
      <span className="sign" aria-hidden="true">
        {job === undefined ? "+" : signOf(state)}
      </span>
      <span className="label">{id}</span>
      {job !== undefined && job.attempts > 1 && <span className="tries">×{job.attempts}</span>}
      <Handle type="source" position={sides.source} />
    </div>
  );
}

interface Placed {
  readonly id: string;
  readonly position: { readonly x: number; readonly y: number };
}

/** All boxes from far away, a path per state: a thousand elements would be gone through for every frame. */
export function FarBoxes({ nodes, chosen }: { readonly nodes: readonly Placed[]; readonly chosen: string }) {
  const { store, filter } = useContext(SeenContext);
  const jobs = useWorld(store, (world) => world.jobs);
  const paths = useMemo(() => pathsOf(nodes, jobs), [nodes, jobs]);
  const spot = nodes.find((node) => node.id === chosen)?.position;
  return (
    <svg className="far-boxes" aria-hidden="true">
      {[...paths].map(([state, parts]) => (
        <path
          key={state}
          className={`${classOf(state)}${filter === "" || filter === state ? "" : " is-dim"}`}
          data-count={parts.length}
          d={parts.join("")}
        />
      ))}
      {spot !== undefined && <rect className="is-chosen" x={spot.x} y={spot.y} width={NODE_WIDTH} height={NODE_HEIGHT} />}
    </svg>
  );
}

function pathsOf(nodes: readonly Placed[], jobs: ReadonlyMap<string, JobView>): ReadonlyMap<string, readonly string[]> {
  const paths = new Map<string, string[]>();
  for (const { id, position } of nodes) {
    const state = jobs.get(id)?.state ?? "PENDING";
    const part = `M${position.x} ${position.y}h${NODE_WIDTH}v${NODE_HEIGHT}h${-NODE_WIDTH}z`;
    const parts = paths.get(state);
    if (parts === undefined) paths.set(state, [part]);
    else parts.push(part);
  }
  return paths;
}

export const MiniBox = memo(function MiniBox({ id, x, y, width, height }: MiniMapNodeProps) {
  const { job } = useLook(id, false);
  return <rect className={`react-flow__minimap-node ${classOf(job?.state ?? "PENDING")}`} x={x} y={y} width={width} height={height} rx={6} />;
});
