// The files that travel with the pipeline: taken from this computer or written here.

import { lazy, Suspense, useRef, useState } from "react";

const TextEditor = lazy(() => import("./editor"));
const FILES_BYTES_MAX = 12 * 1024 * 1024; // one request carries them all; more is a project for the SDK

interface Props {
  readonly files: Readonly<Record<string, string>>;
  readonly binary: Readonly<Record<string, string>>;
  readonly onChange: (next: { files: Readonly<Record<string, string>>; binary: Readonly<Record<string, string>> }) => void;
}

export function Files({ files, binary, onChange }: Props) {
  const picker = useRef<HTMLInputElement>(null);
  const [open, setOpen] = useState("");
  const [problem, setProblem] = useState("");

  async function take(picked: FileList | null) {
    setProblem("");
    const texts = { ...files };
    const bytes = { ...binary };
    for (const file of picked ?? []) {
      const path = (file.webkitRelativePath || file.name).replaceAll("\\", "/");
      const content = new Uint8Array(await file.arrayBuffer());
      delete texts[path];
      delete bytes[path];
      try {
        texts[path] = new TextDecoder("utf-8", { fatal: true }).decode(content);
      } catch {
        bytes[path] = base64(content);
      }
    }
    const size = [...Object.values(texts), ...Object.values(bytes)].reduce((sum, each) => sum + each.length, 0);
    if (size > FILES_BYTES_MAX) setProblem("Together they are too large for a page: deploy the project by `titan deploy` or the SDK.");
    else onChange({ files: texts, binary: bytes });
  }
  function create() {
    const path = window.prompt("Path of the new file", "job.py")?.trim() ?? "";
    if (path === "" || path in files) return;
    onChange({ files: { ...files, [path]: "" }, binary });
    setOpen(path);
  }
  function remove(path: string) {
    const { [path]: _text, ...texts } = files;
    const { [path]: _bytes, ...bytes } = binary;
    onChange({ files: texts, binary: bytes });
    if (open === path) setOpen("");
  }
  const names = [...Object.keys(files), ...Object.keys(binary)].sort();
  return (
    <div className="files" onDragOver={(event) => event.preventDefault()} onDrop={(event) => (event.preventDefault(), void take(event.dataTransfer.files))}>
      <div className="actions">
        <button type="button" onClick={() => picker.current?.click()}>
          Upload…
        </button>
        <button type="button" onClick={create}>
          New file
        </button>
        <input ref={picker} type="file" multiple hidden aria-label="Files to upload" onChange={(event) => void take(event.target.files)} />
      </div>
      {problem !== "" && <p className="problem">{problem}</p>}
      {names.length === 0 && <p className="empty">No files. Jobs that are only commands need none.</p>}
      <ul>
        {names.map((path) => (
          <li key={path} className={path === open ? "is-open" : ""}>
            <button type="button" className="quiet" disabled={path in binary} onClick={() => setOpen(path === open ? "" : path)}>
              {path}
            </button>
            <small>{path in binary ? "binary" : `${files[path]?.length ?? 0} characters`}</small>
            <button type="button" className="quiet" aria-label={`Remove ${path}`} onClick={() => remove(path)}>
              ✕
            </button>
          </li>
        ))}
      </ul>
      {open in files && (
        <Suspense fallback={<p className="empty">…</p>}>
          <TextEditor
            key={open}
            label={open}
            language={open.endsWith(".py") ? "python" : "text"}
            text={files[open] ?? ""}
            flaws={[]}
            onText={(text) => onChange({ files: { ...files, [open]: text }, binary })}
          />
        </Suspense>
      )}
    </div>
  );
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
