// The clock, for what says "in 5 s": it ticks only while somebody wants it to.

import { useEffect, useState } from "react";

/** Now, again after every `periodMs`; 0 stops it. */
export function useNow(periodMs: number): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    if (periodMs === 0) return;
    const timer = setInterval(() => setNowMs(Date.now()), periodMs);
    return () => clearInterval(timer);
  }, [periodMs]);
  return nowMs;
}
