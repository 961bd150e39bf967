// A list that is not on the stream: asked for again when the cluster's index has moved, once a second at most.

import { useEffect, useRef, useState } from "react";
import type { Page } from "../api/types";
import { useLive } from "./live";
import { useWorld } from "./store";

const REST_MS = 1000;

/** null until the first answer. */
export function useRefetched<T>(path: string): readonly T[] | null {
  const { client, store } = useLive();
  const index = useWorld(store, (world) => world.index);
  const [items, setItems] = useState<readonly T[] | null>(null);
  const askedMs = useRef(0);
  useEffect(() => {
    let isHere = true;
    const waitMs = Math.max(0, askedMs.current + REST_MS - Date.now());
    const timer = setTimeout(() => {
      askedMs.current = Date.now();
      client.get<Page<T>>(path).then(
        (page) => isHere && setItems(page.items),
        () => undefined, // the next change asks again
      );
    }, waitMs);
    return () => {
      isHere = false;
      clearTimeout(timer);
    };
  }, [client, path, index]);
  return items;
}
