import { describe, expect, test } from "vitest";
import { closesCycle, edited, EMPTY, parse } from "../src/build/document";
import { begin, stepped, type Snapshot } from "../src/build/history";
import { literal, pythonOf } from "../src/build/python";
import { fieldsOf } from "../src/build/schema";

const TEXT = `# nightly numbers
name: etl   # for people
defaults: {retries: 1}
jobs:
  # where it begins
  - id: fetch
    file: fetch.py   # by HTTP
  - job_id: clean
    parents: fetch
    command: "echo 'a | b'"
  - id: load
    depends_on: [clean, fetch]
    args: [x, "y z"]
`;

describe("YAML and the graph", () => {
  test("a graph is read from any spelling that the loader takes", () => {
    const { jobs, name, isReadable } = parse(TEXT);
    expect([name, isReadable]).toEqual(["etl", true]);
    expect(jobs.map((job) => [job.id, job.parents, job.line])).toEqual([
      ["fetch", [], 6],
      ["clean", ["fetch"], 8],
      ["load", ["clean", "fetch"], 11],
    ]);
  });

  test("an edit that changes nothing leaves the same pipeline, comments included", () => {
    const again = edited(TEXT, () => {});
    expect(parse(again).jobs.map((job) => job.fields)).toEqual(parse(TEXT).jobs.map((job) => job.fields));
    for (const comment of ["# nightly numbers", "# for people", "# where it begins", "# by HTTP"]) expect(again).toContain(comment);
    expect(edited(again, () => {})).toBe(again);
  });

  test("every edit of the graph is an edit of the text", () => {
    let text = edited(TEXT, (editor) => {
      editor.add({ id: "report", command: "true" });
      editor.connect("load", "report");
      editor.connect("load", "clean"); // a single name becomes a list
      editor.disconnect("fetch", "load");
      editor.set("fetch", "file", "get.py");
      editor.set("load", "args", undefined);
      editor.setRoot("version", "2");
    });
    const jobs = () => Object.fromEntries(parse(text).jobs.map((job) => [job.id, job]));
    expect(jobs()["report"]?.parents).toEqual(["load"]);
    expect(jobs()["clean"]?.parents).toEqual(["fetch", "load"]);
    expect(jobs()["load"]?.parents).toEqual(["clean"]);
    expect(jobs()["load"]?.fields["args"]).toBeUndefined();
    expect(text).toContain("get.py # by HTTP");
    text = edited(text, (editor) => editor.rename("fetch", "get"));
    expect(jobs()["clean"]?.parents).toEqual(["get", "load"]);
    text = edited(text, (editor) => editor.remove(["get", "load"]));
    expect(parse(text).jobs.map((job) => [job.id, job.parents])).toEqual([
      ["clean", []],
      ["report", []],
    ]);
  });

  test("copies keep the edges among themselves and point to the old parents otherwise", () => {
    const text = edited(TEXT, (editor) => void editor.duplicate(["clean", "load"]));
    expect(parse(text).jobs.slice(3).map((job) => [job.id, job.parents])).toEqual([
      ["clean-2", ["fetch"]],
      ["load-2", ["clean-2", "fetch"]],
    ]);
  });

  test("a first job turns the empty list into a block", () => {
    const text = edited(EMPTY, (editor) => editor.add({ id: "a", command: "line 1\nline 2\n" }));
    expect(text).toBe("name: my-pipeline\njobs:\n  - id: a\n    command: |\n      line 1\n      line 2\n");
    expect(parse(edited("", (editor) => editor.add({ id: "a" }))).jobs.length).toBe(1);
  });

  test("what is not YAML is told with its place, and nothing is edited", () => {
    const { isReadable, flaws } = parse("name: x\njobs: [");
    expect([isReadable, flaws[0]?.line]).toEqual([false, 2]);
    expect(() => edited("a: [", () => {})).toThrow("cannot be read");
    expect(parse("- just\n- a list").isReadable).toBe(false);
    expect(parse("a: &a [x,x]\nb: &b [*a,*a]\nc: *nowhere").isReadable).toBe(false);
  });
});

test("an edge that would close a circle is refused while it is drawn", () => {
  const jobs = [
    { id: "a", parents: [] },
    { id: "b", parents: ["a"] },
    { id: "c", parents: ["b"] },
    { id: "d", parents: [] },
  ];
  expect(closesCycle(jobs, "c", "a")).toBe(true);
  expect(closesCycle(jobs, "a", "a")).toBe(true);
  expect(closesCycle(jobs, "a", "c")).toBe(false);
  expect(closesCycle(jobs, "d", "a")).toBe(false);
  const deep = Array.from({ length: 50_000 }, (_, n) => ({ id: `${n}`, parents: n > 0 ? [`${n - 1}`] : [] }));
  expect(closesCycle(deep, "49999", "0")).toBe(true);
});

describe("undo and redo", () => {
  const at = (text: string): Snapshot => ({ text, spots: {}, files: {}, binary: {} });
  test("go back and forth, and a new change forgets the future", () => {
    let history = begin(at("0"));
    for (const text of ["1", "2", "3"]) history = stepped(history, { kind: "change", next: { text } });
    history = stepped(stepped(history, { kind: "undo" }), { kind: "undo" });
    expect(history.now.text).toBe("1");
    expect(stepped(history, { kind: "redo" }).now.text).toBe("2");
    history = stepped(history, { kind: "change", next: { text: "x" } });
    expect(stepped(history, { kind: "redo" }).now.text).toBe("x");
    for (let n = 0; n < 5; n += 1) history = stepped(history, { kind: "undo" });
    expect(history.now.text).toBe("0");
  });
  test("typing is one step, and history is bounded", () => {
    let history = begin(at(""));
    for (const text of ["h", "he", "hey"]) history = stepped(history, { kind: "change", next: { text }, tag: "type" });
    expect(stepped(history, { kind: "undo" }).now.text).toBe("");
    for (let n = 0; n < 1000; n += 1) history = stepped(history, { kind: "change", next: { text: `${n}` } });
    expect(history.past.length).toBe(200);
  });
});

test("the SDK's script says what the YAML says", () => {
  const code = pythonOf(parse(TEXT));
  expect(code).toContain('TitanJob("fetch", "fetch.py", retries=1),');
  expect(code).toContain(`TitanJob("clean", retries=1, parents="fetch", command="echo 'a | b'"),`);
  expect(code).toContain('parents=["clean", "fetch"], args=["x", "y z"]');
  expect(literal({ a: [true, null, 1.5, 'q"\n\u2028'] })).toBe('{"a": [True, None, 1.5, "q\\"\\n\u2028"]}');
  expect(pythonOf(parse("jobs: [{id: a, command: x, delay: 1.5}]"))).toContain("delay=1500");
});

test("fields of the sidebar come from the schema", () => {
  const rows = fieldsOf({
    properties: {
      type: { enum: ["run", "TASK"], description: "kind" },
      job_type: { enum: ["run"], deprecated: true },
      n: { type: "integer", default: 3 },
      on: { type: "boolean" },
      args: { anyOf: [{ type: "string" }, { type: "array", items: { type: ["string", "number"] } }] },
      env: { type: "object" },
      form: { type: "object", properties: { a: { type: "string" } } },
    },
  });
  expect(rows.map((row) => [row.name, row.kind])).toEqual([
    ["type", "choice"],
    ["n", "number"],
    ["on", "flag"],
    ["args", "words"],
    ["env", "pairs"],
    ["form", "any"],
  ]);
  expect([rows[0]?.choices, rows[1]?.placeholder]).toEqual([["run"], "3"]);
});
