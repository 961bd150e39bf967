// The changes that somebody collects for a live run, until they are applied together or thrown away. When the run
// moves on meanwhile they are put on what it is now, and what no longer fits is told.

import { useEffect, useState } from "react";
import type { JobView, Revised, RevisionView } from "../api/types";
import {
  cut,
  drawn,
  editsOf,
  emptyDraft,
  isStale,
  rebased,
  sizeOf,
  whyBegun,
  whyNotDrawn,
  type Arrow,
  type Draft,
} from "../graph/edits";
import { useAct, type Act } from "../ui/act";
import { useLive } from "./live";

export interface Editing {
  readonly draft: Draft | null; // null: nobody edits
  readonly act: Act;
  readonly refusal: string; // of the last thing that was tried on the canvas
  readonly news: readonly string[]; // what happened to the run meanwhile, and what was lost by it
  readonly begin: () => void;
  readonly discard: () => void;
  readonly draw: (arrow: Arrow) => void;
  readonly toggle: (arrow: Arrow) => void; // cut an edge, or not
  readonly change: (how: (draft: Draft) => Draft) => void;
  readonly apply: (by: string, note: string) => Promise<void>;
}

export function useEdits(run: string, revision: number, jobs: ReadonlyMap<string, JobView>): Editing {
  const { client } = useLive();
  const act = useAct();
  const [draft, setDraft] = useState<Draft | null>(null);
  const [refusal, setRefusal] = useState("");
  const [news, setNews] = useState<readonly string[]>([]);
  const path = `/api/v1/runs/${encodeURIComponent(run)}/changes`;

  useEffect(() => {
    if (draft === null || act.isBusy || (revision <= draft.base && !isStale(draft, jobs))) return;
    const isEmpty = sizeOf(draft) === 0;
    const next = rebased(draft, jobs, Math.max(revision, draft.base));
    setDraft(next.draft);
    setNews((told) => [...told, ...next.lost.map((line) => `left out: ${line}`)]);
    if (revision <= draft.base || isEmpty) return;
    client.get<RevisionView[]>(path).then(
      (found) => {
        const since = found.filter((each) => each.revision > draft.base).reverse();
        setNews((told) => [...since.map(wordsOf), ...told]);
      },
      () => undefined, // the changes are put on the new revision all the same
    );
  }, [client, path, draft, jobs, revision, act.isBusy]);

  function tell(why: string, then: () => void) {
    setRefusal(why);
    if (why === "") then();
  }
  const change = (how: (old: Draft) => Draft) => {
    act.clear();
    setRefusal("");
    setDraft((old) => (old === null ? null : how(old)));
  };
  function end() {
    setDraft(null);
    setNews([]);
    setRefusal("");
    act.clear();
  }
  return {
    draft,
    act,
    refusal,
    news,
    begin: () => setDraft(emptyDraft(revision)),
    discard: end,
    change,
    draw: (arrow) => draft && tell(whyNotDrawn(draft, jobs, arrow), () => change((old) => drawn(old, arrow))),
    toggle: (arrow) => {
      if (draft === null) return;
      const isCut = draft.cut.some((each) => each.parent === arrow.parent && each.child === arrow.child);
      const isNew = draft.added.some((each) => each.id === arrow.child);
      const why = isCut ? whyNotDrawn(draft, jobs, arrow) : isNew ? "" : whyBegun(jobs, arrow.child);
      tell(why, () => change((old) => (isCut ? drawn(old, arrow) : cut(old, arrow))));
    },
    apply: async (by, note) => {
      if (draft === null) return;
      const body = { edits: editsOf(draft, jobs), if_revision: draft.base, by, note };
      if ((await act.run(() => client.change<Revised>("POST", path, body))) !== undefined) end();
    },
  };
}

export function wordsOf({ revision, by, edits, note }: RevisionView): string {
  const who = by === "" ? "somebody" : by;
  return `revision ${revision} by ${who}: ${edits.join("; ")}${note === "" ? "" : ` (${note})`}`;
}
