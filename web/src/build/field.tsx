// One field of a job, by its kind. An emptied field is removed from the YAML: the default holds again.

import { useEffect, useState } from "react";
import { parse, stringify } from "yaml";
import type { FieldRow } from "./schema";

interface Props {
  readonly row: FieldRow;
  readonly value: unknown;
  readonly onChange: (value: unknown) => void;
}

export function FieldInput({ row, value, onChange }: Props) {
  const id = `field-${row.name}`;
  return (
    <div className={`field kind-${row.kind}${value === undefined ? "" : " is-set"}`}>
      <label htmlFor={id}>{row.name}</label>
      <Control id={id} row={row} value={value} onChange={onChange} />
      <p id={`${id}-help`}>
        {row.help}
        {row.placeholder !== "" && ` Default: ${row.placeholder}.`}
      </p>
    </div>
  );
}

function Control({ id, row, value, onChange }: Props & { readonly id: string }) {
  const described = { id, "aria-describedby": `${id}-help` };
  if (row.kind === "choice") {
    return (
      <select {...described} value={value === undefined ? "" : String(value)} onChange={(event) => onChange(event.target.value || undefined)}>
        <option value="">{row.placeholder === "" ? "–" : `${row.placeholder} (default)`}</option>
        {row.choices.map((choice) => (
          <option key={choice}>{choice}</option>
        ))}
      </select>
    );
  }
  if (row.kind === "flag") {
    return <input {...described} type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked || undefined)} />;
  }
  const { show, read } = FORMS[row.kind];
  return (
    <TextControl
      {...described}
      text={value === undefined || value === null ? "" : show(value)}
      isLong={row.kind === "pairs" || row.kind === "any" || row.name === "command"}
      isNumber={row.kind === "number"}
      placeholder={row.placeholder}
      onText={(text) => onChange(text.trim() === "" ? undefined : read(text))}
    />
  );
}

interface Form {
  readonly show: (value: unknown) => string;
  readonly read: (text: string) => unknown;
}

const asYaml: Form = { show: (value) => stringify(value, { lineWidth: 0 }).trimEnd(), read: readYaml };
const FORMS: Readonly<Record<"number" | "text" | "words" | "pairs" | "any", Form>> = {
  number: { show: String, read: (text) => (Number.isNaN(Number(text)) ? text : Number(text)) },
  text: { show: (value) => (typeof value === "object" ? JSON.stringify(value) : String(value)), read: (text) => text },
  // A list is shown as YAML's `[a, b]`; text stays text, and the master splits it as a shell does.
  words: {
    show: (value) => (Array.isArray(value) ? JSON.stringify(value) : String(value)),
    read: (text) => (text.trimStart().startsWith("[") ? readYaml(text) : text),
  },
  pairs: asYaml,
  any: asYaml,
};

function readYaml(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text; // the master's check says what it should have been
  }
}

interface TextProps {
  readonly id: string;
  readonly "aria-describedby": string;
  readonly text: string;
  readonly isLong: boolean;
  readonly isNumber: boolean;
  readonly placeholder: string;
  readonly onText: (text: string) => void;
}

/** Taken over when the field is left or Enter is pressed: half a word would be half a name in the YAML. */
function TextControl({ text, isLong, isNumber, onText, ...rest }: TextProps) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  const settle = () => typed !== text && onText(typed);
  if (isLong) {
    return <textarea {...rest} rows={3} value={typed} spellCheck={false} onChange={(event) => setTyped(event.target.value)} onBlur={settle} />;
  }
  return (
    <input
      {...rest}
      inputMode={isNumber ? "decimal" : "text"}
      value={typed}
      spellCheck={false}
      onChange={(event) => setTyped(event.target.value)}
      onBlur={settle}
      onKeyDown={(event) => event.key === "Enter" && settle()}
    />
  );
}
