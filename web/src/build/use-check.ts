// What the masters say is wrong with the pipeline: asked a moment after each change, the newest answer counts.

import { useEffect, useState } from "react";
import type { Client } from "../api/client";
import type { Checked } from "../api/types";
import { wordsOf } from "../ui/act";
import type { Flaw } from "./document";
import type { Snapshot } from "./history";

const CHECK_MS = 350;

export interface Checking {
  readonly flaws: readonly Flaw[] | null; // null: not known yet
}

export function useCheck(client: Client, { text, files, binary }: Snapshot): Checking {
  const [flaws, setFlaws] = useState<readonly Flaw[] | null>(null);
  useEffect(() => {
    let isNewest = true;
    const timer = setTimeout(() => {
      client
        .change<Checked>("POST", "/api/v1/pipelines/check", { yaml: text, files, binary })
        .then((checked) => isNewest && setFlaws(checked.problems))
        .catch((error: unknown) => isNewest && setFlaws([{ message: wordsOf(error), field: "", line: 0, column: 0 }]));
    }, CHECK_MS);
    return () => {
      isNewest = false;
      clearTimeout(timer);
    };
  }, [client, text, files, binary]);
  return { flaws };
}
