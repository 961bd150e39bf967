// The settings of the job that is chosen, and of the pipeline: whatever the schema has, with its help.

import { useEffect, useState } from "react";
import { Empty } from "../ui/parts";
import type { BuildJob } from "./document";
import { FieldInput } from "./field";
import { fieldsOf, type PipelineSchema } from "./schema";

const FIRST = ["type", "file", "command", "args", "depends_on", "env"];

interface JobProps {
  readonly schema: PipelineSchema | null;
  readonly job: BuildJob | undefined;
  readonly count: number;
  readonly files: readonly string[];
  readonly onRename: (old: string, id: string) => void;
  readonly onChange: (id: string, field: string, value: unknown) => void;
}

export function JobFields({ schema, job, count, files, onRename, onChange }: JobProps) {
  if (job === undefined) return <Empty>{count > 1 ? `${count} jobs are chosen.` : "Choose a job to see its fields."}</Empty>;
  const rows = fieldsOf(schema?.$defs.job).filter((row) => row.name !== "id");
  const sorted = [...rows].sort((a, b) => place(a.name) - place(b.name));
  const [main, more] = [sorted.filter((row) => isMain(row.name, job)), sorted.filter((row) => !isMain(row.name, job))];
  return (
    <div className="fields">
      <IdField key={job.id} id={job.id} onRename={(id) => onRename(job.id, id)} />
      {main.map((row) => (
        <div key={`${job.id}/${row.name}`}>
          <FieldInput row={row} value={job.fields[row.name]} onChange={(value) => onChange(job.id, row.name, value)} />
          {row.name === "file" && files.length > 0 && (
            <p className="picks">
              {files.slice(0, 12).map((path) => (
                <button key={path} type="button" className="tag" onClick={() => onChange(job.id, "file", path)}>
                  {path}
                </button>
              ))}
            </p>
          )}
        </div>
      ))}
      <details>
        <summary>{more.length} more fields</summary>
        {more.map((row) => (
          <FieldInput key={`${job.id}/${row.name}`} row={row} value={job.fields[row.name]} onChange={(value) => onChange(job.id, row.name, value)} />
        ))}
      </details>
    </div>
  );
}

function place(name: string): number {
  const at = FIRST.indexOf(name);
  return at < 0 ? FIRST.length : at;
}

function isMain(name: string, job: BuildJob): boolean {
  return FIRST.includes(name) || job.fields[name] !== undefined;
}

function IdField({ id, onRename }: { readonly id: string; readonly onRename: (id: string) => void }) {
  const [typed, setTyped] = useState(id);
  useEffect(() => setTyped(id), [id]);
  const settle = () => typed !== id && typed.trim() !== "" && onRename(typed.trim());
  return (
    <div className="field">
      <label htmlFor="field-id">id</label>
      <input
        id="field-id"
        value={typed}
        spellCheck={false}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={settle}
        onKeyDown={(event) => event.key === "Enter" && settle()}
      />
      <p>Unique within the run. Children follow a new name.</p>
    </div>
  );
}

interface RootProps {
  readonly schema: PipelineSchema | null;
  readonly root: Readonly<Record<string, unknown>>;
  readonly onChange: (field: string, value: unknown) => void;
}

export function RootFields({ schema, root, onChange }: RootProps) {
  const rows = fieldsOf(schema ?? undefined).filter((row) => row.name !== "jobs");
  return (
    <div className="fields">
      {rows.map((row) => (
        <FieldInput key={row.name} row={row} value={root[row.name]} onChange={(value) => onChange(row.name, value)} />
      ))}
    </div>
  );
}
