// A job's output: followed live, only the visible lines drawn, searched, coloured as a terminal would, downloaded.
// Nothing of it is ever HTML: colours come from parsed escape sequences, text is set as text.

import { useVirtualizer } from "@tanstack/react-virtual";
import Anser from "anser";
import { memo, useEffect, useMemo, useRef, useState } from "react";
import { ApiError } from "../api/client";
import { followLog, logPath, type LogSource } from "../api/log";
import { useLive } from "../state/live";
import { Lines } from "./lines";

const LINE_HEIGHT = 19;
const TELL_MS = 60; // output faster than this is drawn together

export function LogView({ source }: { readonly source: LogSource }) {
  const { client } = useLive();
  const [lines, setLines] = useState<readonly string[]>([]);
  const [dropped, setDropped] = useState(0);
  const [state, setState] = useState("following");
  const [follows, setFollows] = useState(true);
  const [wanted, setWanted] = useState("");
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const abort = new AbortController();
    const buffer = new Lines();
    let timer: ReturnType<typeof setTimeout> | null = null;
    const tell = () => {
      timer = null;
      setLines([...buffer.all()]);
      setDropped(buffer.dropped);
    };
    setState("following");
    followLog(
      client,
      source,
      (text) => {
        buffer.push(text);
        timer ??= setTimeout(tell, TELL_MS);
      },
      abort.signal,
    )
      .then(() => setState("complete"))
      .catch((error: unknown) => setState(error instanceof ApiError ? error.message : String(error)));
    return () => {
      abort.abort();
      if (timer !== null) clearTimeout(timer);
    };
  }, [client, source.run, source.job, source.attempt]);

  const shown = useMemo(() => {
    const word = wanted.toLowerCase();
    const numbered = lines.map((text, at) => ({ text, number: at + dropped + 1 }));
    return word === "" ? numbered : numbered.filter((line) => line.text.toLowerCase().includes(word));
  }, [lines, dropped, wanted]);

  const rows = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => LINE_HEIGHT,
    overscan: 20,
  });
  useEffect(() => {
    if (follows && shown.length > 0) rows.scrollToIndex(shown.length - 1, { align: "end" });
  }, [shown.length, follows]);

  return (
    <section className="log-view" aria-label={`Output of ${source.job}`}>
      <div className="log-tools">
        <input
          type="search"
          placeholder="search"
          aria-label="Search in the output"
          value={wanted}
          onChange={(event) => setWanted(event.target.value)}
        />
        <label>
          <input type="checkbox" checked={follows} onChange={(event) => setFollows(event.target.checked)} /> follow
        </label>
        <span className="log-state">
          {wanted !== "" && `${shown.length} of `}
          {lines.length} lines, {state}
        </span>
        <a href={client.masters.base + logPath(source)} download={`${source.run}-${source.job}.log`}>
          download
        </a>
      </div>
      <div
        className="log"
        ref={box}
        tabIndex={0}
        onWheel={(event) => event.deltaY < 0 && setFollows(false)}
        role="log"
        aria-live="off"
      >
        {dropped > 0 && <p className="empty">The first {dropped} lines are not kept here; download has the rest.</p>}
        <div style={{ height: rows.getTotalSize(), position: "relative" }}>
          {rows.getVirtualItems().map((row) => {
            const line = shown[row.index];
            if (line === undefined) return null;
            return (
              <div key={row.key} className="line" style={{ transform: `translateY(${row.start}px)` }}>
                <span className="at">{line.number}</span>
                <Coloured text={line.text} />
              </div>
            );
          })}
        </div>
      </div>
    </section>
  );
}

const Coloured = memo(function Coloured({ text }: { readonly text: string }) {
  if (!text.includes("\u001b")) return <span>{text}</span>;
  return (
    <span>
      {Anser.ansiToJson(text, { use_classes: true, remove_empty: true }).map((part, at) => (
        <span key={at} className={[part.fg, part.bg && `${part.bg}-bg`, part.decoration].filter(Boolean).join(" ")}>
          {part.content}
        </span>
      ))}
    </span>
  );
});
