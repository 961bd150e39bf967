// The same pipeline as a script for the Python SDK, for people to take along. It is made from the YAML and
// never read back: Python can say more than a pipeline's YAML can.

import type { Pipeline } from "./document";

const ORDER = ["id", "file"]; // positional
const NAMES: Readonly<Record<string, string>> = { type: "job_type", depends_on: "parents" };

export function pythonOf(pipeline: Pipeline): string {
  const defaults = asRecord(pipeline.root["defaults"]);
  const jobs = pipeline.jobs.map((job) => {
    const fields = { ...defaults, ...job.fields };
    if (job.fields["command"] !== undefined) delete fields["file"];
    const words = [literal(String(fields["id"]))];
    if (fields["file"] !== undefined) words.push(literal(fields["file"]));
    for (const [name, value] of Object.entries(fields)) {
      if (ORDER.includes(name) || value === undefined || value === null) continue;
      const inSdk = name === "delay" ? Math.round(Number(value) * 1000) : name === "type" ? job.type : value;
      words.push(`${NAMES[name] ?? name}=${literal(inSdk)}`);
    }
    return `    TitanJob(${words.join(", ")}),\n`;
  });
  const parameters = asRecord(pipeline.root["parameters"]);
  const more = Object.keys(parameters).length > 0 ? `, parameters=${literal(parameters)}` : "";
  return (
    "from titan.sdk import TitanClient, TitanJob\n\n" +
    `jobs = [\n${jobs.join("")}]\n\n` +
    `run = TitanClient().submit_dag(${literal(pipeline.name || "my-pipeline")}, jobs${more})\n` +
    "print(run)\nprint(run.wait())\n"
  );
}

function asRecord(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** A value as a Python literal. */
export function literal(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number") {
    return Number.isFinite(value) ? String(value) : `float(${JSON.stringify(String(value).toLowerCase())})`;
  }
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, each]) => `${literal(key)}: ${literal(each)}`).join(", ")}}`;
  }
  return JSON.stringify(String(value)); // JSON's escapes mean the same in Python
}
