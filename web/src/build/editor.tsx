// The text of the pipeline in CodeMirror, in a chunk of its own. The parent owns the text: what is typed is told
// at once, and what comes from the graph replaces only the lines that differ, so that the cursor stays.

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { Annotation, EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import type { Flaw } from "./document";

interface Props {
  readonly label: string;
  readonly language: "yaml" | "python" | "text";
  readonly text: string;
  readonly flaws: readonly Flaw[];
  readonly onText: ((text: string) => void) | null; // null: for reading only
}

const LOOK = EditorView.theme({
  "&": { height: "100%", fontSize: "12.5px", background: "var(--ground)", color: "var(--text)" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { background: "var(--ground)", color: "var(--soft)", border: "0" },
  ".cm-activeLine": { background: "color-mix(in srgb, var(--raised) 60%, transparent)" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--link) 28%, transparent) !important",
  },
  ".cm-tooltip": { background: "var(--surface)", border: "1px solid var(--line)", color: "var(--text)" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-2px" },
});
const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--link)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--s-completed)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--s-waiting)" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.operator], color: "var(--s-cancelled)" },
]);

export default function TextEditor({ label, language, text, flaws, onText }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const told = useRef(onText);
  told.current = onText;

  useEffect(() => {
    if (place.current === null) return;
    const made = new EditorView({
      parent: place.current,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          history(),
          bracketMatching(),
          indentOnInput(),
          highlightActiveLine(),
          lintGutter(),
          LOOK,
          syntaxHighlighting(COLOURS),
          language === "yaml" ? yaml() : language === "python" ? python() : [],
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label }),
          EditorState.readOnly.of(onText === null),
          keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
          EditorView.updateListener.of((update) => {
            const isTyped = update.docChanged && update.transactions.some((each) => each.annotation(FromOutside) !== true);
            if (isTyped) told.current?.(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    return () => made.destroy();
  }, [label, language, onText === null]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null) return;
    const old = editor.state.doc.toString();
    if (old === text) return;
    editor.dispatch({ changes: difference(old, text), annotations: FromOutside.of(true) });
  }, [text]);

  useEffect(() => {
    const editor = view.current;
    if (editor === null) return;
    const { doc } = editor.state;
    const shown: Diagnostic[] = flaws
      .filter((flaw) => flaw.line > 0)
      .map((flaw) => {
        const line = doc.line(Math.min(flaw.line, doc.lines));
        const from = Math.min(line.to, line.from + Math.max(0, flaw.column - 1));
        return { from, to: Math.max(from, line.to), severity: "error", message: [flaw.field, flaw.message].filter(Boolean).join(": ") };
      });
    editor.dispatch(setDiagnostics(editor.state, shown.sort((a, b) => a.from - b.from)));
  }, [flaws, text]);

  return <div className="text-editor" ref={place} />;
}

const FromOutside = Annotation.define<boolean>();

/** The smallest single replacement that makes `now` of `old`. */
function difference(old: string, now: string): { from: number; to: number; insert: string } {
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end += 1;
  return { from: start, to: old.length - end, insert: now.slice(start, now.length - end) };
}
