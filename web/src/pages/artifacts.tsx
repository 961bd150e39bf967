// The files that a job has left: sizes, digests, download, and a look at text and pictures of a modest size.

import { useEffect, useState } from "react";
import type { FileView, JobView, Page } from "../api/types";
import { useLive } from "../state/live";
import { wordsOf } from "../ui/act";
import { contentOf, type Content } from "../ui/content";
import { Empty } from "../ui/parts";
import { sizeWords } from "../ui/size";
import { isOver } from "../ui/states";

const PREVIEW_BYTES_MAX = 2 * 1024 * 1024;
const TEXT_CHARS_SHOWN = 200_000;

export function Artifacts({ job }: { readonly job: JobView }) {
  const { client } = useLive();
  const [files, setFiles] = useState<readonly FileView[] | null>(null);
  const [next, setNext] = useState<string | null>("");
  const [after, setAfter] = useState("");
  const [problem, setProblem] = useState("");
  const [opened, setOpened] = useState<FileView | null>(null);
  const path = `/api/v1/runs/${encodeURIComponent(job.run)}/jobs/${encodeURIComponent(job.id)}/artifacts`;
  useEffect(() => {
    let isHere = true;
    client.get<Page<FileView>>(`${path}?after=${encodeURIComponent(after)}`).then(
      (page) => {
        if (!isHere) return;
        setFiles((known) => [...(after === "" ? [] : (known ?? [])), ...page.items]);
        setNext(page.next);
      },
      (error: unknown) => isHere && setProblem(wordsOf(error)),
    );
    return () => {
      isHere = false;
    };
  }, [client, path, after]);
  if (problem !== "") return <p className="problem">{problem}</p>;
  if (files === null) return <Empty>…</Empty>;
  if (files.length === 0) return <Empty>It has left no files{isOver(job.state) ? "" : " so far"}.</Empty>;
  const pathOf = (file: FileView) => `${path}/file?path=${encodeURIComponent(file.path)}`;
  return (
    <section className="artifacts" aria-label={`Files of ${job.id}`}>
      <table className="rows">
        <thead>
          <tr>
            <th>file</th>
            <th className="number">size</th>
            <th>digest</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {files.map((file) => (
            <tr key={file.path} aria-selected={file === opened}>
              <td>
                <button
                  type="button"
                  className="quiet file"
                  disabled={file.size > PREVIEW_BYTES_MAX}
                  title={file.size > PREVIEW_BYTES_MAX ? "Too large to be shown here" : "Look at it"}
                  onClick={() => setOpened(file === opened ? null : file)}
                >
                  {file.path}
                </button>
              </td>
              <td className="number">{sizeWords(file.size)}</td>
              <td className="number" title={file.digest}>
                {file.digest === "" ? "–" : `${file.digest.slice(0, 10)}…`}
              </td>
              <td>
                <a href={client.masters.base + pathOf(file)} download={file.path.split("/").at(-1)}>
                  download
                </a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {next !== null && (
        <button type="button" onClick={() => setAfter(next)}>
          More
        </button>
      )}
      {opened !== null && <Preview key={opened.path} name={opened.path} path={pathOf(opened)} />}
    </section>
  );
}

function Preview({ name, path }: { readonly name: string; readonly path: string }) {
  const { client } = useLive();
  const [content, setContent] = useState<Content | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let isHere = true;
    client.bytes(path).then(
      (bytes) => isHere && setContent(contentOf(bytes)),
      (error: unknown) => isHere && setProblem(wordsOf(error)),
    );
    return () => {
      isHere = false;
    };
  }, [client, path]);
  if (problem !== "") return <p className="problem">{problem}</p>;
  if (content === null) return <Empty>…</Empty>;
  if (content.kind === "binary") return <Empty>{name} is neither text nor a picture.</Empty>;
  if (content.kind === "image") return <img className="preview" src={content.url} alt={name} />;
  const { text } = content;
  return (
    <>
      <pre className="value" aria-label={name}>
        {text.slice(0, TEXT_CHARS_SHOWN)}
      </pre>
      {text.length > TEXT_CHARS_SHOWN && <Empty>The rest is in the download.</Empty>}
    </>
  );
}
