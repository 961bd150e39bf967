// The Gantt view: one canvas the size of the window, redrawn as one scrolls and while something runs, so that ten
// thousand jobs cost as much as forty.

import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import type { JobView } from "../api/types";
import { signOf } from "../ui/states";
import { duration } from "../ui/time";
import { rowsOf, spanOf, ticksOf, type Row, type Span } from "./layout";

const ROW = 24;
const HEAD = 28;
const LABELS = 170;
const LIVE_MS = 100; // between two frames while something runs

interface Props {
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly chosen: string;
  readonly filter: string;
  readonly onChoose: (job: string) => void;
}

export function Gantt({ jobs, chosen, filter, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [words, setWords] = useState("");
  const rows = useMemo(() => {
    const all = rowsOf(jobs.values());
    return filter === "" ? all : all.filter((row) => row.state === filter);
  }, [jobs, filter]);
  const isRunning = rows.some((row) => row.bars.some((bar) => bar.toMs === 0));

  useEffect(() => {
    const place = box.current;
    const surface = canvas.current;
    if (place === null || surface === null) return;
    let frame = 0;
    let timer = 0;
    const draw = () => {
      frame = 0;
      paint(surface, { rows, chosen, top: place.scrollTop, width: place.clientWidth, height: place.clientHeight });
    };
    const soon = () => {
      if (frame === 0) frame = requestAnimationFrame(draw);
    };
    soon();
    if (isRunning) timer = window.setInterval(soon, LIVE_MS);
    const resized = new ResizeObserver(soon);
    resized.observe(place);
    const themed = new MutationObserver(soon);
    themed.observe(document.documentElement, { attributes: true });
    place.addEventListener("scroll", soon, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      clearInterval(timer);
      resized.disconnect();
      themed.disconnect();
      place.removeEventListener("scroll", soon);
    };
  }, [rows, chosen, isRunning]);

  function rowAt(event: MouseEvent): Row | undefined {
    const place = box.current;
    if (place === null) return undefined;
    const y = event.clientY - place.getBoundingClientRect().top - HEAD + place.scrollTop;
    return y < 0 ? undefined : rows[Math.floor(y / ROW)];
  }
  function tell(event: MouseEvent) {
    const row = rowAt(event);
    setWords(row === undefined ? "" : wordsOf(row));
  }
  function move(event: KeyboardEvent) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(rows.length - 1, rows.findIndex((row) => row.job === chosen) + step));
    const row = rows[at];
    if (row === undefined) return;
    onChoose(row.job);
    setWords(wordsOf(row));
    const place = box.current;
    if (place === null) return;
    if (at * ROW < place.scrollTop) place.scrollTop = at * ROW;
    else if ((at + 1) * ROW + HEAD > place.scrollTop + place.clientHeight) place.scrollTop = (at + 1) * ROW + HEAD - place.clientHeight;
  }
  return (
    <div className="gantt">
      <div
        className="gantt-box"
        ref={box}
        tabIndex={0}
        role="listbox"
        aria-label="Jobs by time; arrow keys choose one"
        onKeyDown={move}
        onMouseMove={tell}
        onMouseLeave={() => setWords("")}
        onClick={(event) => onChoose(rowAt(event)?.job ?? "")}
      >
        <canvas ref={canvas} />
        <div style={{ height: Math.max(1, rows.length * ROW + HEAD) }} />
      </div>
      <p className="gantt-words" aria-live="polite">
        {words === "" ? `${rows.length} jobs` : words}
      </p>
    </div>
  );
}

function wordsOf(row: Row): string {
  const bars = row.bars.map((bar) => `${bar.words} (${bar.toMs === 0 ? "…" : duration(bar.toMs - bar.fromMs)})`);
  return [`${signOf(row.state)} ${row.job}`, ...bars].join("  ·  ");
}

interface Scene {
  readonly rows: readonly Row[];
  readonly chosen: string;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function paint(surface: HTMLCanvasElement, { rows, chosen, top, width, height }: Scene): void {
  const context = surface.getContext("2d");
  if (context === null) return;
  const scale = window.devicePixelRatio || 1;
  if (surface.width !== width * scale || surface.height !== height * scale) {
    surface.width = width * scale;
    surface.height = height * scale;
    surface.style.width = `${width}px`;
    surface.style.height = `${height}px`;
  }
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const nowMs = Date.now();
  const span = spanOf(rows, nowMs);
  const room = Math.max(40, width - LABELS - 70);
  const x = (ms: number) => LABELS + ((ms - span.fromMs) / (span.toMs - span.fromMs)) * room;
  const sans = style.getPropertyValue("--sans");

  grid(context, { span, x, width, height, line: colour("line"), soft: colour("soft"), sans });
  context.save();
  context.beginPath();
  context.rect(0, HEAD, width, height - HEAD);
  context.clip();
  const first = Math.max(0, Math.floor(top / ROW));
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW));
  context.textBaseline = "middle";
  for (let at = first; at < last; at += 1) {
    const row = rows[at];
    if (row === undefined) continue;
    const y = HEAD + at * ROW - top;
    if (row.job === chosen) {
      context.fillStyle = colour("raised");
      context.fillRect(0, y, width, ROW);
    }
    const own = colour(`s-${row.state.toLowerCase()}`);
    context.font = `12px ${sans}`;
    context.fillStyle = own;
    context.fillText(signOf(row.state), 8, y + ROW / 2);
    context.fillStyle = row.bars.length === 0 ? colour("soft") : colour("text");
    context.fillText(shortened(context, row.job, LABELS - 34), 24, y + ROW / 2);
    for (const bar of row.bars) {
      const from = x(bar.fromMs);
      const to = bar.toMs === 0 ? x(Math.max(nowMs, bar.fromMs)) : x(bar.toMs);
      context.fillStyle = colour(`s-${bar.state.toLowerCase()}`);
      context.beginPath();
      context.roundRect(from, y + 5, Math.max(2, to - from), ROW - 10, 3);
      context.fill();
    }
    const end = row.bars.at(-1);
    if (end !== undefined) {
      const toMs = end.toMs === 0 ? Math.max(nowMs, end.fromMs) : end.toMs;
      context.fillStyle = colour("soft");
      context.font = `11px ${sans}`;
      context.fillText(duration(toMs - end.fromMs), x(toMs) + 6, y + ROW / 2);
    }
  }
  context.restore();
}

interface Grid {
  readonly span: Span;
  readonly x: (ms: number) => number;
  readonly width: number;
  readonly height: number;
  readonly line: string;
  readonly soft: string;
  readonly sans: string;
}

function grid(context: CanvasRenderingContext2D, { span, x, width, height, line, soft, sans }: Grid): void {
  context.strokeStyle = line;
  context.lineWidth = 1;
  context.font = `11px ${sans}`;
  context.textBaseline = "middle";
  context.fillStyle = soft;
  for (const tick of ticksOf(span, Math.max(2, Math.floor((width - LABELS) / 110)))) {
    const at = Math.round(x(span.fromMs + tick)) + 0.5;
    context.beginPath();
    context.moveTo(at, HEAD - 6);
    context.lineTo(at, height);
    context.stroke();
    context.fillText(tick === 0 ? "0" : duration(tick), at + 4, HEAD / 2);
  }
}

function shortened(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  let kept = text.length;
  while (kept > 1 && context.measureText(`${text.slice(0, kept)}…`).width > room) kept = Math.floor(kept * 0.9);
  return `${text.slice(0, kept)}…`;
}
