// Autosave of one constructor page: which draft it is, how it stands, and what to do when two tabs disagree.

import { useEffect, useMemo, useRef, useState } from "react";
import type { Client } from "../api/client";
import { wordsOf } from "../ui/act";
import { Draft } from "./draft";
import type { Snapshot } from "./history";

const SAVE_MS = 700;

export type DraftState = "new" | "loading" | "unsaved" | "saving" | "saved" | "conflict" | "too large" | "failed";

export interface Drafting {
  readonly state: DraftState;
  readonly problem: string;
  readonly takeTheirs: () => Promise<void>;
  readonly keepMine: () => Promise<void>;
}

interface Options {
  readonly client: Client;
  readonly name: string;
  readonly now: Snapshot;
  readonly isTouched: boolean; // nothing is kept of a page where nothing was done
  readonly onLoad: (snapshot: Snapshot) => void;
}

export function useDraft({ client, name, now, isTouched, onLoad }: Options): Drafting {
  const draft = useMemo(() => new Draft(client, name), [client, name]);
  const [state, setState] = useState<DraftState>("loading");
  const [problem, setProblem] = useState("");
  const newest = useRef(now);
  newest.current = now;
  const saved = useRef<Snapshot | null>(null);
  const isSaving = useRef(false);

  function failed(error: unknown) {
    setProblem(wordsOf(error));
    setState("failed");
  }
  useEffect(() => {
    let isHere = true;
    setState("loading");
    draft
      .load()
      .then((found) => {
        if (!isHere) return;
        if (found !== null) {
          saved.current = found;
          onLoad(found);
        }
        setState(found === null ? "new" : "saved");
      })
      .catch((error: unknown) => isHere && failed(error));
    return () => {
      isHere = false;
    };
  }, [draft]);

  async function save() {
    if (isSaving.current) return;
    isSaving.current = true;
    try {
      while (saved.current !== newest.current) {
        const snapshot = newest.current;
        setState("saving");
        const done = await draft.save(snapshot);
        if (done.kind !== "saved") return setState(done.kind);
        saved.current = snapshot;
      }
      setProblem("");
      setState("saved");
    } catch (error) {
      failed(error);
    } finally {
      isSaving.current = false;
    }
  }
  useEffect(() => {
    if (!isTouched || state === "loading" || state === "conflict" || saved.current === now) return;
    setState("unsaved");
    const timer = setTimeout(() => void save(), SAVE_MS);
    return () => clearTimeout(timer);
  }, [now, isTouched, state === "loading", state === "conflict"]);

  return {
    state,
    problem,
    async takeTheirs() {
      const found = await draft.load();
      if (found === null) return;
      saved.current = found;
      onLoad(found);
      setState("saved");
    },
    async keepMine() {
      await draft.overwrite();
      await save();
    },
  };
}
