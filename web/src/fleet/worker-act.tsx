// What can be asked of a worker, each with a question first. The words and what they do are those of `titan workers`.

import { useState } from "react";
import type { WorkerView } from "../api/types";
import { useLive } from "../state/live";
import { Confirm } from "../ui/confirm";

export type Order = "cordon" | "uncordon" | "drain" | "shut down";

const SHUTDOWN_S = 60;

/** What makes sense now: nothing reaches a worker that is gone. */
export function ordersOf(state: string): readonly Order[] {
  if (state === "online") return ["cordon", "drain", "shut down"];
  if (state === "cordoned") return ["uncordon", "drain", "shut down"];
  return state === "draining" ? ["uncordon", "shut down"] : [];
}

const ABOUT: Readonly<Record<Order, string>> = {
  cordon: "It takes no more work and stays. What runs on it goes on.",
  uncordon: "It takes work again.",
  drain: "It takes no more work, ends what it runs, and leaves.",
  "shut down": "It takes no more work and leaves when what it runs has ended. What still runs after the time is killed and runs elsewhere; that spends no retry.",
};

/** The body of the request; `seconds` is the time that a drain may take, "" for any. */
export function bodyOf(order: Order, seconds: string): { readonly mode: string; readonly timeout_ms: number | null } {
  if (order === "cordon") return { mode: "cordoned", timeout_ms: null };
  if (order === "uncordon") return { mode: "open", timeout_ms: null };
  return { mode: "draining", timeout_ms: seconds.trim() === "" ? null : Math.round(Number(seconds) * 1000) };
}

interface Props {
  readonly worker: WorkerView;
  readonly order: Order;
  readonly onClose: () => void;
}

export function WorkerAct({ worker, order, onClose }: Props) {
  const { client } = useLive();
  const [seconds, setSeconds] = useState(order === "shut down" ? String(SHUTDOWN_S) : "");
  const name = worker.name || worker.id;
  const verb = `${order[0]?.toUpperCase()}${order.slice(1)}`;
  const takesTime = order === "drain" || order === "shut down";
  const isReady = !takesTime || (seconds.trim() === "" ? order === "drain" : Number(seconds) >= 0);
  return (
    <Confirm
      title={`${verb} ${name}?`}
      verb={verb}
      isDanger={takesTime}
      isReady={isReady}
      act={() => client.change("POST", `/api/v1/workers/${encodeURIComponent(worker.id)}/mode`, bodyOf(order, seconds))}
      onClose={onClose}
    >
      <p>{ABOUT[order]}</p>
      {worker.running > 0 && order !== "uncordon" && (
        <p>
          {worker.running} {worker.running === 1 ? "job is" : "jobs are"} on it now.
        </p>
      )}
      {takesTime && (
        <label>
          seconds until what still runs is killed
          <input type="number" min={0} step="any" value={seconds} placeholder="no limit" onChange={(event) => setSeconds(event.target.value)} />
        </label>
      )}
    </Confirm>
  );
}
