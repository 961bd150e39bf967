// What is not on the stream: asked for again when the cluster's index has moved, once a second at most.

import { useEffect, useRef, useState } from "react";
import { ApiError } from "../api/client";
import type { Page } from "../api/types";
import { useLive } from "./live";
import { useWorld, type Store } from "./store";

const REST_MS = 1000;

export interface Answered<T> {
  readonly answer: T | null; // null until the first one
  readonly missing: boolean; // there is no such thing (any more)
}

/** The answer to `path`, asked for again when `follow` (else what every page follows) has moved on, at once when `turn`
 * is another. */
export function useAnswer<T>(path: string, follow?: Store, turn = 0): Answered<T> {
  const { client, store } = useLive();
  const index = useWorld(follow ?? store, (world) => world.index);
  const [held, setHeld] = useState<Answered<T> & { readonly path: string }>({ path, answer: null, missing: false });
  const asked = useRef({ path: "", turn, ms: 0, count: 0, told: 0 });
  useEffect(() => {
    const last = asked.current;
    const isSame = last.path === path && last.turn === turn;
    if (!isSame) asked.current = { path, turn, ms: 0, count: last.count, told: last.count };
    // An answer on its way is taken even when the index has moved since: else a busy cluster would never be shown.
    const timer = setTimeout(() => {
      const now = asked.current;
      now.ms = Date.now();
      const number = (now.count += 1);
      const isNews = () => asked.current === now && number > now.told;
      const take = (answer: T | null, missing: boolean) => {
        if (!isNews()) return;
        now.told = number;
        setHeld({ path, answer, missing });
      };
      client.get<T>(path).then(
        (answer) => take(answer, false),
        (error: unknown) => {
          if (error instanceof ApiError && error.status === 404) take(null, true); // else the next change asks again
        },
      );
    }, isSame ? Math.max(0, last.ms + REST_MS - Date.now()) : 0);
    return () => clearTimeout(timer);
  }, [client, path, index, turn]);
  return held.path === path ? held : { answer: null, missing: false };
}

/** The items of a list; null until the first answer. */
export function useRefetched<T>(path: string): readonly T[] | null {
  return useAnswer<Page<T>>(path).answer?.items ?? null;
}
