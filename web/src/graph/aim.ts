// What of a graph is seen first: all of it where it can be read, else the job that matters at a size that can.

import { NODE_HEIGHT, NODE_WIDTH, zoomFor, type Room, type Spot, type Way } from "./layout";

export const CROWD = 150; // of so many jobs nobody reads names at first: the whole shows where it stands
export const READABLE = 0.86; // 13 px on a box are 11 px on the screen
export const ZOOM_MIN = 0.05;
const MARGIN = 16;

interface Placed {
  readonly id: string;
  readonly position: Spot;
}

export interface Aim {
  readonly viewport: { readonly x: number; readonly y: number; readonly zoom: number };
  readonly isPart: boolean; // there is more than is seen
}

export function aim(nodes: readonly Placed[], canvas: Room, chosen: string, way: Way): Aim {
  if (nodes.length === 0) return { viewport: { x: 0, y: 0, zoom: 1 }, isPart: false };
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { position } of nodes) {
    left = Math.min(left, position.x);
    top = Math.min(top, position.y);
    right = Math.max(right, position.x + NODE_WIDTH);
    bottom = Math.max(bottom, position.y + NODE_HEIGHT);
  }
  const room = { width: Math.max(1, canvas.width - 2 * MARGIN), height: Math.max(1, canvas.height - 2 * MARGIN) };
  const whole = Math.max(ZOOM_MIN, zoomFor({ width: right - left, height: bottom - top }, room));
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
  const job = nodes.find((node) => node.id === chosen)?.position;
  if (whole >= READABLE || (nodes.length > CROWD && job === undefined)) {
    return { viewport: around(middle, whole, canvas), isPart: false };
  }
  const [half, tall] = [room.width / 2 / READABLE, room.height / 2 / READABLE];
  // Nothing is chosen: the beginning, which is where a run begins to move.
  const wanted = job === undefined
    ? { x: way === "LR" ? left : middle.x, y: way === "LR" ? middle.y : top }
    : { x: job.x + NODE_WIDTH / 2, y: job.y + NODE_HEIGHT / 2 };
  const at = { x: within(wanted.x, left + half, right - half), y: within(wanted.y, top + tall, bottom - tall) };
  return { viewport: around(at, READABLE, canvas), isPart: true };
}

/** The job whose box is there; "" between the boxes. */
export function jobAt(nodes: readonly Placed[], spot: Spot): string {
  const found = nodes.find(
    ({ position: { x, y } }) => x <= spot.x && spot.x <= x + NODE_WIDTH && y <= spot.y && spot.y <= y + NODE_HEIGHT,
  );
  return found?.id ?? "";
}

/** No farther out than the graph goes; its middle where all of it fits. */
function within(value: number, least: number, most: number): number {
  return least > most ? (least + most) / 2 : Math.min(most, Math.max(least, value));
}

function around(at: Spot, zoom: number, canvas: Room): Aim["viewport"] {
  return { x: canvas.width / 2 - at.x * zoom, y: canvas.height / 2 - at.y * zoom, zoom };
}
