// What the constructor can go on with: drafts and past runs; and from a run to a snapshot.

import { useEffect, useState } from "react";
import { Link } from "wouter";
import { Document, isMap, isScalar, isSeq, visit } from "yaml";
import type { Client } from "../api/client";
import type { Page, PipelineView, Source } from "../api/types";
import { useLive } from "../state/live";
import { useWorld } from "../state/store";
import { Dialog } from "../ui/dialog";
import { Empty, StateBadge } from "../ui/parts";
import { dateTime } from "../ui/time";
import { Draft, listDrafts, type DraftName } from "./draft";
import type { Snapshot } from "./history";

const RUNS_SHOWN = 30;

/** A past run, or a saved pipeline, as something to go on with. */
export async function fromSource(client: Client, kind: "runs" | "pipelines", name: string): Promise<{ snapshot: Snapshot; leftOut: readonly string[] }> {
  const source = await client.get<Source>(`/api/v1/${kind}/${encodeURIComponent(name)}/source`);
  const text = written(source.pipeline);
  return { snapshot: { text, spots: {}, files: source.files, binary: source.binary }, leftOut: source.left_out };
}

/** As a person would write it: lists of names on one line. */
function written(pipeline: Source["pipeline"]): string {
  const doc = new Document(pipeline);
  visit(doc, {
    Collection(_, node) {
      const parts: readonly unknown[] = isMap(node) ? node.items.map((pair) => pair.value) : node.items;
      const isShort = parts.length > 0 && parts.every((part) => isScalar(part) && !String(part.value).includes("\n"));
      if (isSeq(node) && isShort) node.flow = true;
    },
  });
  return doc.toString({ lineWidth: 0, flowCollectionPadding: false });
}

export function LoadDialog({ onClose }: { readonly onClose: () => void }) {
  const { client, store } = useLive();
  const runs = useWorld(store, (world) => world.runs);
  const [drafts, setDrafts] = useState<readonly DraftName[] | null>(null);
  const [saved, setSaved] = useState<readonly PipelineView[] | null>(null);
  useEffect(() => {
    client.get<Page<PipelineView>>("/api/v1/pipelines?limit=200").then(
      (page) => setSaved(page.items),
      () => setSaved([]),
    );
    listDrafts(client)
      .then(setDrafts)
      .catch(() => setDrafts([]));
  }, [client]);
  const recent = [...runs.values()].sort((a, b) => b.created_ms - a.created_ms).slice(0, RUNS_SHOWN);
  return (
    <Dialog title="Go on with" onClose={onClose}>
      <h3>Drafts</h3>
      {drafts?.length === 0 && <Empty>No drafts are kept.</Empty>}
      <ul className="choices">
        {drafts?.map((draft) => (
          <li key={draft.name}>
            <Link href={`/dags/new?draft=${encodeURIComponent(draft.name)}`} onClick={onClose}>
              {draft.name}
            </Link>
            <small>{dateTime(draft.savedMs)}</small>
            <button
              type="button"
              className="quiet"
              aria-label={`Delete draft ${draft.name}`}
              onClick={() => void new Draft(client, draft.name).remove().then(() => listDrafts(client).then(setDrafts))}
            >
              ✕
            </button>
          </li>
        ))}
      </ul>
      <h3>Saved pipelines</h3>
      {saved?.length === 0 && <Empty>None are saved.</Empty>}
      <ul className="choices">
        {saved?.map((each) => (
          <li key={each.name}>
            <Link href={`/dags/new?pipeline=${encodeURIComponent(each.name)}`} onClick={onClose}>
              {each.name}
            </Link>
            <span>
              version {each.version}, {each.count} jobs
            </span>
            <small>{dateTime(each.saved_ms)}</small>
          </li>
        ))}
      </ul>
      <h3>Runs</h3>
      {recent.length === 0 && <Empty>No runs yet.</Empty>}
      <ul className="choices">
        {recent.map((run) => (
          <li key={run.id}>
            <Link href={`/dags/new?run=${run.id}`} onClick={onClose}>
              {run.name}
            </Link>
            <StateBadge state={run.state} />
            <small>{dateTime(run.created_ms)}</small>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
