import { describe, expect, it } from "vitest";
import { aim, CROWD, jobAt, READABLE } from "../src/graph/aim";
import { layOut, NODE_WIDTH, wayFor, type Vertex, type Way } from "../src/graph/layout";

function chain(length: number): Vertex[] {
  return Array.from({ length }, (_, at) => ({ id: `j${at}`, parents: at === 0 ? [] : [`j${at - 1}`] }));
}

function fan(width: number): Vertex[] {
  return [{ id: "root", parents: [] }, ...Array.from({ length: width }, (_, at) => ({ id: `leaf${at}`, parents: ["root"] }))];
}

function placed(vertices: readonly Vertex[], way: Way) {
  const spots = layOut(vertices, way);
  return vertices.map(({ id }) => ({ id, position: spots.get(id) ?? { x: 0, y: 0 } }));
}

const CANVAS = { width: 545, height: 620 };

describe("the way of a graph", () => {
  it("follows the shape of the canvas", () => {
    expect(wayFor(chain(6), CANVAS)).toBe("TB");
    expect(wayFor(chain(6), { width: 1600, height: 600 })).toBe("LR");
    expect(wayFor(fan(20), CANVAS)).toBe("LR");
    expect(wayFor([], CANVAS)).toBe("LR");
  });
  it("puts parents before children", () => {
    const down = layOut(chain(2), "TB");
    expect(down.get("j1")?.y).toBeGreaterThan(down.get("j0")?.y ?? Infinity);
    const crowd = layOut(chain(250), "TB"); // not by dagre
    expect(crowd.get("j249")?.y).toBeGreaterThan(crowd.get("j248")?.y ?? Infinity);
  });
});

describe("what is seen first", () => {
  it("is all of it where that can be read", () => {
    const { viewport, isPart } = aim(placed(chain(5), "TB"), CANVAS, "", "TB");
    expect([isPart, viewport.zoom]).toEqual([false, 1]);
  });
  it("is the job that was chosen, at a size that can be read, when there is more", () => {
    const nodes = placed(chain(12), "LR");
    const { viewport, isPart } = aim(nodes, CANVAS, "j6", "LR");
    expect([isPart, viewport.zoom]).toEqual([true, READABLE]);
    const at = (nodes[6]?.position.x ?? 0) + NODE_WIDTH / 2;
    expect(at * viewport.zoom + viewport.x).toBeCloseTo(CANVAS.width / 2);
  });
  it("is the beginning when nothing is chosen", () => {
    const { viewport } = aim(placed(chain(12), "LR"), CANVAS, "", "LR");
    expect(viewport.x).toBeGreaterThan(0);
    expect(viewport.x).toBeLessThan(40);
  });
  it("is where a crowd stands, as a whole", () => {
    const { viewport, isPart } = aim(placed(fan(CROWD + 100), "LR"), CANVAS, "", "LR");
    expect(isPart).toBe(false);
    expect(viewport.zoom).toBeLessThan(0.2);
  });
});

describe("what stands at a spot", () => {
  it("is the box around it, and nothing between the boxes", () => {
    const nodes = placed(chain(250), "LR");
    const at = nodes[7]?.position ?? { x: 0, y: 0 };
    expect(jobAt(nodes, { x: at.x + 1, y: at.y + 1 })).toBe("j7");
    expect(jobAt(nodes, { x: at.x + NODE_WIDTH, y: at.y })).toBe("j7");
    expect(jobAt(nodes, { x: at.x + NODE_WIDTH + 1, y: at.y })).toBe("");
  });
});
