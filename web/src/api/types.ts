// The views that masters send. Generated types are in schema.d.ts; these are the names that pages use.

import type { components } from "./schema";

type Schemas = components["schemas"];
export type RunView = Schemas["RunView"];
export type JobView = Schemas["JobView"];
export type WorkerView = Schemas["WorkerView"];
export type Fleet = Schemas["Fleet"];
export type WorkerHealth = Schemas["WorkerHealth"];
export type Depth = Schemas["Depth"];
export type PulseView = Schemas["PulseView"];
export type KvView = Schemas["KvView"];
export type Masters = Schemas["Masters"];
export type Fact = Schemas["Fact"];
export type JobSpec = Schemas["JobSpec"];
export type Source = Schemas["Source"];
export type Submitted = Schemas["Submitted"];
export type PipelineView = Schemas["PipelineView"];
export type Saved = Schemas["Saved"];
export type Why = Schemas["Why"];
export type ServiceView = Schemas["ServiceView"];
export type PoolView = Schemas["PoolView"];
export type Scheduled = Schemas["Scheduled"];
export type Nominal = Schemas["Nominal"];
export type Explained = Schemas["Explained"];
export type Firing = Schemas["FiringView"];
export type Timing = Schemas["Timing"];
export type DeadView = Schemas["DeadView"];
export type OrderView = Schemas["OrderView"];
export type Checked = Schemas["Checked"];
export type OutputView = Schemas["OutputView"];
export type FileView = Schemas["FileView"];
export type RevisionView = Schemas["RevisionView"];
export type Revised = Schemas["Revised"];
export type GraphView = Schemas["GraphView"];
export type MasterView = Schemas["MasterView"];

export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}
