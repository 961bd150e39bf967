// The page's client and its live stores: one for what every page shows, one more for the page's own subject.

import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { Client } from "../api/client";
import { Masters } from "../api/masters";
import { Stream } from "../api/stream";
import type { Masters as Cluster } from "../api/types";
import { NOTHING, Store, withFrame } from "./store";

interface Live {
  readonly client: Client;
  readonly store: Store; // runs, workers and masters
}

const Context = createContext<Live | null>(null);

export function LiveProvider({ children }: { readonly children: ReactNode }) {
  const [live] = useState<Live>(() => ({
    client: new Client(new Masters(window.location.origin)),
    store: new Store(NOTHING, withFrame),
  }));
  useEffect(() => {
    const { client, store } = live;
    const stream = new Stream(
      client,
      "runs=true&workers=true&cluster=true",
      (message) => {
        if (message.kind === "cluster") {
          client.masters.learn((message.data as Cluster).masters.map((master) => master.http));
        }
        store.take(message);
      },
      (isLive) => store.setLive(isLive),
    );
    stream.start();
    return () => stream.stop();
  }, [live]);
  return <Context.Provider value={live}>{children}</Context.Provider>;
}

export function useLive(): Live {
  const live = useContext(Context);
  if (live === null) throw new Error("LiveProvider is missing");
  return live;
}

/** A store that follows `query` for as long as the component is there. */
export function useFollowed(query: string): Store {
  const { client } = useLive();
  const store = useMemo(() => new Store(NOTHING, withFrame), [query]); // a new subject starts from nothing
  useEffect(() => {
    const stream = new Stream(
      client,
      query,
      (message) => store.take(message),
      (isLive) => store.setLive(isLive),
    );
    stream.start();
    return () => stream.stop();
  }, [client, query, store]);
  return store;
}
