// One field of a form that a gate or a pipeline declares.

import type { Answer, FormField } from "../api/gates";

export function InputField({
  name,
  field,
  value,
  onChange,
}: {
  readonly name: string;
  readonly field: FormField;
  readonly value: Answer;
  readonly onChange: (value: Answer) => void;
}) {
  const choices = field.choices ?? [];
  const help = field.help ?? "";
  if (choices.length > 0) {
    return (
      <label title={help}>
        {name}
        <select
          required={field.required ?? false}
          value={choices.findIndex((choice) => choice === value)}
          onChange={(event) => onChange(choices[Number(event.target.value)] ?? null)}
        >
          <option value={-1}>–</option>
          {choices.map((choice, at) => (
            <option key={at} value={at}>
              {String(choice)}
            </option>
          ))}
        </select>
      </label>
    );
  }
  if (field.type === "bool") {
    return (
      <label title={help} className="check">
        <input type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} /> {name}
      </label>
    );
  }
  const isNumber = field.type === "int" || field.type === "float";
  return (
    <label title={help}>
      {name}
      <input
        type={isNumber ? "number" : "text"}
        step={field.type === "int" ? 1 : "any"}
        required={field.required ?? false}
        value={value === null ? "" : String(value)}
        placeholder={help}
        onChange={(event) => {
          const text = event.target.value;
          onChange(text === "" ? null : isNumber ? Number(text) : text);
        }}
      />
    </label>
  );
}

export function defaults(form: Readonly<Record<string, FormField>>): Record<string, Answer> {
  const filled: Record<string, Answer> = {};
  for (const [name, field] of Object.entries(form)) {
    if (field.default !== undefined && field.default !== null) filled[name] = field.default;
    else if (field.type === "bool") filled[name] = false;
  }
  return filled;
}
