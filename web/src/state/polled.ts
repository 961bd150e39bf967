// What changes without the log: asked for again every two seconds, as long as somebody looks.

import { useEffect, useState } from "react";
import { useLive } from "./live";

const PERIOD_MS = 2000;
const PATIENCE_MS = 6000; // an answer older than that says nothing of now

export interface Polled<T> {
  readonly answer: T | null; // null: none yet, or none for so long that the last one means nothing
  readonly atMs: number; // when it came, by this machine's clock
}

export function usePolled<T>(path: string): Polled<T> {
  const { client } = useLive();
  const [held, setHeld] = useState<Polled<T>>({ answer: null, atMs: 0 });
  useEffect(() => {
    let isOver = false;
    let isAsking = false;
    const ask = () => {
      setHeld((old) => (old.answer !== null && Date.now() - old.atMs > PATIENCE_MS ? { answer: null, atMs: old.atMs } : old));
      if (isAsking || document.hidden) return;
      isAsking = true;
      client
        .get<T>(path)
        .then((answer) => void (isOver || setHeld({ answer, atMs: Date.now() })))
        .catch(() => undefined) // the next round asks again
        .finally(() => (isAsking = false));
    };
    ask();
    const timer = setInterval(ask, PERIOD_MS);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [client, path]);
  return held;
}
