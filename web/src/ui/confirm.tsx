// A question before something that cannot be taken back. Cancel has the focus; Escape says no.

import type { ReactNode } from "react";
import { useAct } from "./act";
import { Dialog } from "./dialog";

interface Props {
  readonly title: string;
  readonly verb: string;
  readonly children: ReactNode;
  readonly act: () => Promise<unknown>;
  readonly onClose: () => void;
  readonly onDone?: () => void;
  readonly isDanger?: boolean;
  readonly isReady?: boolean;
}

export function Confirm({ title, verb, children, act, onClose, onDone, isDanger = true, isReady = true }: Props) {
  const state = useAct();
  async function go() {
    const done = await state.run(async () => {
      await act();
      return true;
    });
    if (done !== true) return;
    onClose();
    onDone?.();
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={(event) => (event.preventDefault(), void go())}>
        <div>{children}</div>
        {state.problem !== "" && <p className="problem">{state.problem}</p>}
        <div className="actions">
          <button type="submit" className={isDanger ? "danger" : "primary"} disabled={state.isBusy || !isReady}>
            {verb}
          </button>
          <button type="button" autoFocus onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}
