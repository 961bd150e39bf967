// The name of who sits here: asked by one dialog, shown and changed wherever it matters.

import { useState, useSyncExternalStore } from "react";
import { createPortal } from "react-dom";
import { name as current, onName, setName } from "../api/who";
import { Dialog } from "./dialog";
import { Icon } from "./icon";

/** The name as it is, everywhere at once; "" while nobody has given one. */
export function useName(): string {
  return useSyncExternalStore(onName, current);
}

/** A button that shows the name and asks for it. */
export function Who({ className, prefix = "" }: { readonly className: string; readonly prefix?: string }) {
  const name = useName();
  const [isAsking, setAsking] = useState(false);
  return (
    <>
      <button type="button" className={className} title="Your name in the audit" onClick={() => setAsking(true)}>
        <Icon name="who" /> <span>{name === "" ? "your name" : `${prefix}${name}`}</span>
      </button>
      {isAsking && createPortal(<NameDialog onClose={() => setAsking(false)} />, document.body)}
    </>
  );
}

function NameDialog({ onClose }: { readonly onClose: () => void }) {
  const [text, setText] = useState(current);
  return (
    <Dialog title="Your name" onClose={onClose}>
      <form className="stack" onSubmit={(event) => (event.preventDefault(), event.stopPropagation(), setName(text), onClose())}>
        <label>
          name
          <input autoFocus maxLength={100} value={text} onChange={(event) => setText(event.target.value)} />
        </label>
        <p className="empty">It stands beside what you do here: under Events, who did what. It is kept in this browser, and nobody checks it.</p>
        <div className="actions">
          <button type="submit" className="primary">
            Keep it
          </button>
        </div>
      </form>
    </Dialog>
  );
}
