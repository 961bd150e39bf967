import { describe, expect, it } from "vitest";
import {
  cut,
  drawn,
  editsOf,
  emptyDraft,
  fated,
  linesOf,
  parentsOf,
  rebased,
  resourcesIn,
  whyNotDrawn,
  wished,
  withoutAdded,
  type Jobs,
} from "../src/graph/edits";

function run(...jobs: readonly (readonly [string, string, ...string[]])[]): Jobs {
  return new Map(jobs.map(([id, state, ...parents]) => [id, { id, state, parents }]));
}

const CHAIN = run(["a", "RUNNING"], ["b", "PENDING", "a"], ["c", "PENDING", "b"]);

describe("drawing an edge", () => {
  it("is refused with the way when it closes a circle, one over drawn edges and new jobs too", () => {
    expect(whyNotDrawn(emptyDraft(1), CHAIN, { parent: "c", child: "b" })).toBe(
      "c → b would close a circle: b → c → b",
    );
    const draft = { ...emptyDraft(1), added: [{ id: "new", command: "x", parents: ["c"] }] };
    expect(whyNotDrawn(draft, CHAIN, { parent: "new", child: "b" })).toContain("b → c → new → b");
    expect(whyNotDrawn(emptyDraft(1), CHAIN, { parent: "a", child: "a" })).toContain("itself");
  });

  it("is refused when the child has started or ended", () => {
    expect(whyNotDrawn(emptyDraft(1), CHAIN, { parent: "b", child: "a" })).toContain("has started");
    const over = run(["a", "COMPLETED"], ["b", "PENDING"]);
    expect(whyNotDrawn(emptyDraft(1), over, { parent: "b", child: "a" })).toContain("has ended");
  });

  it("is open again once the edge that closed the circle is cut", () => {
    const draft = cut(emptyDraft(1), { parent: "b", child: "c" });
    expect(whyNotDrawn(draft, CHAIN, { parent: "c", child: "b" })).toBe("");
  });

  it("takes back a cut of the same edge, and a cut takes back a drawn one", () => {
    const arrow = { parent: "a", child: "b" };
    expect(drawn(cut(emptyDraft(1), arrow), arrow)).toEqual(emptyDraft(1));
    const other = { parent: "a", child: "c" };
    expect(cut(drawn(emptyDraft(1), other), other)).toEqual(emptyDraft(1));
  });
});

describe("a draft", () => {
  it("becomes one list of edits, with all the parents of a changed job", () => {
    let draft = drawn(emptyDraft(4), { parent: "a", child: "c" });
    draft = wished(draft, "c", { priority: 5 });
    draft = fated(draft, "b", "skip");
    draft = { ...draft, added: [{ id: "new", command: "echo é", parents: ["a"] }] };
    expect(editsOf(draft, CHAIN)).toEqual([
      { edit: "change", job: "c", set: { priority: 5, depends_on: ["b", "a"] } },
      { edit: "add", jobs: [{ id: "new", shell: "ZWNobyDDqQ==", depends_on: ["a"] }] },
      { edit: "skip", job: "b" },
    ]);
    expect(linesOf(draft)).toEqual(["+ new after a", "+ a → c", "~ c: priority 5", "⇥ skip b"]);
  });

  it("draws to and from jobs that are to be added", () => {
    let draft = { ...emptyDraft(1), added: [{ id: "new", command: "x", parents: ["a"] }] };
    draft = drawn(draft, { parent: "b", child: "new" }) as typeof draft;
    draft = drawn(draft, { parent: "new", child: "c" }) as typeof draft;
    expect(parentsOf(draft, CHAIN, "new")).toEqual(["a", "b"]);
    expect(parentsOf(draft, CHAIN, "c")).toEqual(["b", "new"]);
    expect(withoutAdded(draft, "new")).toEqual(emptyDraft(1));
  });

  it("is rebased: what has started since is left out and told, what somebody else did is no change any more", () => {
    let draft = drawn(emptyDraft(1), { parent: "a", child: "c" });
    draft = cut(draft, { parent: "b", child: "c" });
    draft = wished(draft, "b", { priority: 2 });
    draft = fated(draft, "b", "skip");
    const now = run(["a", "COMPLETED"], ["b", "RUNNING", "a"], ["c", "PENDING", "b", "a"]);
    const { draft: next, lost } = rebased(draft, now, 3);
    expect(next.base).toBe(3);
    expect(next.drawn).toEqual([]);
    expect(next.cut).toEqual([{ parent: "b", child: "c" }]);
    expect(lost).toEqual(["~ b: b has started already", "skip b: b has started already"]);
  });

  it("loses an edge that would close a circle with what somebody else drew", () => {
    const draft = drawn(emptyDraft(1), { parent: "x", child: "y" });
    const now = run(["x", "PENDING", "y"], ["y", "PENDING"]);
    expect(rebased(draft, now, 2).lost[0]).toContain("circle");
  });
});

describe("resources in words", () => {
  it("are names and whole amounts, or nothing at all", () => {
    expect(resourcesIn("slots=2, gpus=1")).toEqual({ slots: 2, gpus: 1 });
    expect(resourcesIn("")).toEqual({});
    expect(resourcesIn("slots=two")).toBeNull();
  });
});
