// The keys of the constructor. Where text is typed, keys are the text's own.

import { useEffect, useRef } from "react";

interface Keys {
  readonly undo: () => void;
  readonly redo: () => void;
  readonly duplicate: () => void;
  readonly all: () => void;
}

export function useKeys(keys: Keys): void {
  const newest = useRef(keys);
  newest.current = keys;
  useEffect(() => {
    function pressed(event: KeyboardEvent) {
      const at = event.target as HTMLElement | null;
      if (at?.closest("input, textarea, select, .cm-editor, dialog")) return;
      if (!(event.ctrlKey || event.metaKey)) return;
      const key = event.key.toLowerCase();
      const act =
        key === "z" && !event.shiftKey
          ? newest.current.undo
          : (key === "z" && event.shiftKey) || key === "y"
            ? newest.current.redo
            : key === "d"
              ? newest.current.duplicate
              : key === "a"
                ? newest.current.all
                : null;
      if (act === null) return;
      event.preventDefault();
      act();
    }
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);
}
