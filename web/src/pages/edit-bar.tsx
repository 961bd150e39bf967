// What is about to be changed in a live run: a preview, who does it and why, and the two ends of it.

import { useState } from "react";
import { cut, fated, linesOf, sizeOf, wished, withoutAdded, type Draft } from "../graph/edits";
import type { Editing } from "../state/use-edits";
import { useName, Who } from "../ui/who";

export function EditBar({ editing, draft }: { readonly editing: Editing; readonly draft: Draft }) {
  const { act, news, refusal, change } = editing;
  const by = useName();
  const [note, setNote] = useState("");
  const size = sizeOf(draft);
  const undo = undosOf(draft);
  return (
    <section className="edit-bar" aria-label="Changes of this run">
      <p>
        <strong>Changing revision {draft.base}.</strong> Draw from the far side of a job to one that has not started,
        click an edge to cut it, choose a job to change what it asks for.
      </p>
      {news.length > 0 && (
        <div className="edit-news" role="status">
          <p>The run has changed meanwhile; your changes are now about revision {draft.base}. Look again, then apply.</p>
          <ul>
            {news.map((line, at) => (
              <li key={at}>{line}</li>
            ))}
          </ul>
        </div>
      )}
      {size > 0 && (
        <ul className="edit-lines" aria-label="Preview">
          {linesOf(draft).map((line, at) => (
            <li key={`${at}${line}`}>
              <code>{line}</code>
            </li>
          ))}
        </ul>
      )}
      {refusal !== "" && (
        <p className="problem" role="alert">
          {refusal}
        </p>
      )}
      {act.problem !== "" && (
        <p className="problem" role="alert">
          {act.problem}
        </p>
      )}
      <form className="actions" onSubmit={(event) => (event.preventDefault(), void editing.apply(by, note))}>
        <Who className="who" prefix="as " />
        <input value={note} onChange={(event) => setNote(event.target.value)} placeholder="why" aria-label="Why" className="grows" />
        <button type="button" onClick={() => undo !== null && change(undo)} disabled={undo === null}>
          Take back the last
        </button>
        <button type="button" onClick={editing.discard}>
          Discard
        </button>
        <button type="submit" className="primary" disabled={size === 0 || act.isBusy}>
          Apply {size === 0 ? "" : size === 1 ? "1 change" : `${size} changes`}
        </button>
      </form>
    </section>
  );
}

/** Without what stands last in the preview; null when there is nothing. */
function undosOf(draft: Draft): ((draft: Draft) => Draft) | null {
  const fate = [...draft.fates.keys()].at(-1);
  if (fate !== undefined) return (old) => fated(old, fate, null);
  const wish = [...draft.wishes.keys()].at(-1);
  if (wish !== undefined) return (old) => wished(old, wish, {});
  if (draft.cut.length > 0) return (old) => ({ ...old, cut: old.cut.slice(0, -1) });
  const arrow = draft.drawn.at(-1);
  if (arrow !== undefined) return (old) => cut(old, arrow);
  const added = draft.added.at(-1);
  return added === undefined ? null : (old) => withoutAdded(old, added.id);
}
