// The queue as a page sees it: the newest letters live, older ones by cursor.

import { useEffect, useRef, useState } from "react";
import { ApiError } from "../api/client";
import type { DeadView, Page } from "../api/types";
import { useLive } from "../state/live";
import { useAnswer } from "../state/refetched";
import { filterQuery, joined, letterId, type DeadFilter } from "./filter";

const PAGE = 50;

export interface Letters {
  readonly letters: readonly DeadView[] | null; // null until the first answer
  readonly count: number | null; // of all that the filter lets through
  readonly hasMore: boolean;
  readonly more: () => Promise<void>;
  readonly reload: () => void;
}

interface Older {
  readonly query: string;
  readonly items: readonly DeadView[];
  readonly next: string | null;
}

export function useLetters(filter: DeadFilter): Letters {
  const { client } = useLive();
  const query = filterQuery(filter);
  const [turn, setTurn] = useState(0); // a change of it asks at once
  const first = useAnswer<Page<DeadView>>(`/api/v1/dead?limit=${PAGE}${query}${turn > 0 ? "&consistent=true" : ""}`, undefined, turn).answer;
  const count = useAnswer<{ count: number }>(`/api/v1/dead/count?consistent=${turn > 0}${query}`, undefined, turn).answer;
  const [older, setOlder] = useState<Older | null>(null);
  const shown = useRef<readonly DeadView[] | null>(null);
  const held = older !== null && older.query === query ? older : null;
  useEffect(() => setOlder(null), [query, turn]);
  if (first !== null) shown.current = joined(first.items, held?.items ?? []);

  async function more() {
    const last = shown.current?.at(-1);
    if (last === undefined) return;
    try {
      const page = await client.get<Page<DeadView>>(`/api/v1/dead?limit=${PAGE}${query}&after=${encodeURIComponent(letterId(last))}`);
      setOlder({ query, items: [...(held?.items ?? []), ...page.items], next: page.next });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      setTurn(turn + 1); // the last one has left the queue: begin again
    }
  }
  return {
    letters: first === null ? shown.current : joined(first.items, held?.items ?? []),
    count: count?.count ?? null,
    hasMore: held === null ? (first?.next ?? null) !== null : held.next !== null,
    more,
    reload: () => setTurn(turn + 1),
  };
}
