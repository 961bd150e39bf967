// Gates: jobs that wait for people.

import type { components } from "./schema";

type Schemas = components["schemas"];
export type GateView = Schemas["GateView"];
export type FormField = Schemas["Input"];
export type Answer = string | number | boolean | null;
