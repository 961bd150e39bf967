// Doing something at a master from a page: one at a time, with what went wrong as words.

import { useState } from "react";
import { ApiError } from "../api/client";

export function wordsOf(error: unknown): string {
  if (!(error instanceof ApiError)) return String(error);
  return [error.message, error.hint].filter((words) => words !== "").join(" – ");
}

export interface Act {
  readonly problem: string;
  readonly isBusy: boolean;
  readonly run: <T>(what: () => Promise<T>) => Promise<T | undefined>;
  readonly clear: () => void;
}

export function useAct(): Act {
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  async function run<T>(what: () => Promise<T>): Promise<T | undefined> {
    setProblem("");
    setBusy(true);
    try {
      return await what();
    } catch (error) {
      setProblem(wordsOf(error));
      return undefined;
    } finally {
      setBusy(false);
    }
  }
  return { problem, isBusy, run, clear: () => setProblem("") };
}
