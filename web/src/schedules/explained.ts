// What a cron expression means, as the masters say, while somebody types it.

import { useEffect, useState } from "react";
import { ApiError } from "../api/client";
import type { Explained } from "../api/types";
import { useLive } from "../state/live";

const PAUSE_MS = 250; // of typing

export interface Question {
  readonly cron: string;
  readonly zone: string;
  readonly afterMs?: number;
  readonly untilMs?: number;
  readonly count?: number;
}

export interface Meaning {
  readonly explained: Explained | null;
  readonly problem: string; // what is wrong with it
}

const NOTHING: Meaning = { explained: null, problem: "" };

export function questionPath({ cron, zone, afterMs = 0, untilMs = 0, count = 10 }: Question): string {
  const asked = new URLSearchParams({ cron, timezone: zone, count: String(count) });
  if (afterMs > 0) asked.set("after_ms", String(afterMs));
  if (untilMs > 0) asked.set("until_ms", String(untilMs));
  return `/api/v1/cron?${asked}`;
}

export function wrong(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  return error.problems.length > 0 ? error.problems.join("; ") : error.message;
}

/** null asks nothing. */
export function useExplained(question: Question | null): Meaning {
  const { client } = useLive();
  const [meaning, setMeaning] = useState<Meaning>(NOTHING);
  const path = question === null || question.cron.trim() === "" ? "" : questionPath(question);
  useEffect(() => {
    if (path === "") {
      setMeaning(NOTHING);
      return;
    }
    let isHere = true;
    const timer = setTimeout(() => {
      client.get<Explained>(path).then(
        (explained) => isHere && setMeaning({ explained, problem: "" }),
        (error: unknown) => isHere && setMeaning({ explained: null, problem: wrong(error) }),
      );
    }, PAUSE_MS);
    return () => {
      isHere = false;
      clearTimeout(timer);
    };
  }, [client, path]);
  return meaning;
}
