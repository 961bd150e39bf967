// The fields of the sidebar, from the schema that the master serves: a field that Titan learns appears by itself.

export interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly FieldSchema[];
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly items?: FieldSchema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
  readonly deprecated?: boolean;
}

export interface PipelineSchema extends FieldSchema {
  readonly $defs: { readonly job: FieldSchema; readonly defaults: FieldSchema };
}

export type Kind = "choice" | "flag" | "number" | "text" | "words" | "pairs" | "any";

export interface FieldRow {
  readonly name: string;
  readonly kind: Kind;
  readonly help: string;
  readonly choices: readonly string[];
  readonly placeholder: string;
}

export function fieldsOf(schema: FieldSchema | undefined): readonly FieldRow[] {
  return Object.entries(schema?.properties ?? {})
    .filter(([, field]) => !field.deprecated)
    .map(([name, field]) => ({
      name,
      kind: kindOf(field),
      help: field.description ?? "",
      choices: (field.enum ?? []).map(String).filter((choice) => choice === choice.toLowerCase()),
      placeholder: field.default === undefined ? "" : String(field.default),
    }));
}

function kindOf(field: FieldSchema): Kind {
  if (field.enum) return "choice";
  const types = typeof field.type === "string" ? [field.type] : (field.type ?? []);
  if (types.includes("boolean") && types.length === 1) return "flag";
  if (types.length === 1 && (types[0] === "integer" || types[0] === "number")) return "number";
  if (types.includes("string")) return "text";
  if (types[0] === "object" && !field.properties) return "pairs";
  const isListOrOne = field.anyOf?.some((each) => each.type === "array" && plainItems(each)) ?? false;
  if (isListOrOne || (types[0] === "array" && plainItems(field))) return "words";
  return "any";
}

function plainItems(field: FieldSchema): boolean {
  const type = field.items?.type;
  return type !== undefined && type !== "object" && type !== "array";
}

/** The kinds of job that the masters run today. */
export function jobTypes(schema: PipelineSchema | null): readonly string[] {
  const choices = schema?.$defs.job.properties?.["type"]?.enum ?? ["run"];
  return choices.map(String).filter((choice) => ["run", "service", "gate", "pipeline"].includes(choice));
}
