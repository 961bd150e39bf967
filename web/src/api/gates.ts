// Gates: jobs that wait for people. The shapes are those of the gates' endpoints.

export interface FormField {
  readonly type: string; // string, int, float, bool, any
  readonly default?: Answer;
  readonly required?: boolean;
  readonly choices?: readonly (string | number | boolean)[];
  readonly help?: string;
}

export type Answer = string | number | boolean | null;

export interface Decision {
  readonly decision: string;
  readonly by: string;
  readonly role: string;
  readonly at_ms: number;
  readonly comment: string;
  readonly answers: Readonly<Record<string, Answer>>;
}

export interface GateView {
  readonly run: string;
  readonly id: string;
  readonly after: string;
  readonly state: string;
  readonly message: string;
  readonly due_ms: number;
  readonly wanted: number;
  readonly users: readonly string[];
  readonly roles: readonly string[];
  readonly form: Readonly<Record<string, FormField>>;
  readonly decisions: readonly Decision[];
}
