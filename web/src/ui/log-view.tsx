// A job's output: followed live, only the visible lines drawn, searched, coloured as a terminal would, downloaded.
// Nothing of it is ever HTML: colours come from parsed escape sequences, text is set as text.

import { useVirtualizer } from "@tanstack/react-virtual";
import Anser from "anser";
import { memo, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { ApiError } from "../api/client";
import { followLog, logPath, type LogSource } from "../api/log";
import { useLive } from "../state/live";
import { Lines } from "./lines";

const LINE_HEIGHT = 19;
const TELL_MS = 60; // output faster than this is drawn together

export function LogView({ source }: { readonly source: LogSource }) {
  const { client } = useLive();
  // The lines stay where they are, and `text` is another object whenever there are more: nothing is copied, however
  // much there is.
  const [text, setText] = useState<Text>(NOTHING);
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
      const lines = buffer.all();
      setText({ lines, count: lines.length, dropped: buffer.dropped });
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

  const { lines, count, dropped } = text;
  const word = useDeferredValue(wanted.toLowerCase());
  const found = useMemo(() => (word === "" ? null : matching(lines, word)), [text, word]);
  const shown = found?.length ?? count;

  const rows = useVirtualizer({
    count: shown,
    getScrollElement: () => box.current,
    estimateSize: () => LINE_HEIGHT,
    overscan: 20,
  });
  useEffect(() => {
    if (follows && shown > 0) rows.scrollToIndex(shown - 1, { align: "end" });
  }, [shown, follows]);

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
          {wanted !== "" && `${shown} of `}
          {count} lines, {state}
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
            const at = found === null ? row.index : (found[row.index] ?? 0);
            const line = lines[at];
            if (line === undefined) return null;
            return (
              <div key={row.key} className="line" style={{ transform: `translateY(${row.start}px)` }}>
                <span className="at">{at + dropped + 1}</span>
                <Coloured text={line} />
              </div>
            );
          })}
        </div>
      </div>
    </section>
  );
}

interface Text {
  readonly lines: readonly string[]; // grows in place
  readonly count: number;
  readonly dropped: number;
}

const NOTHING: Text = { lines: [], count: 0, dropped: 0 };

/** Where the lines are that have the word, which is in small letters. */
function matching(lines: readonly string[], word: string): readonly number[] {
  const found: number[] = [];
  lines.forEach((line, at) => line.toLowerCase().includes(word) && found.push(at));
  return found;
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
