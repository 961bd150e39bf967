// Requests to the HTTP API. A read is repeated at the next master when one does not answer; a write too, with
// the same Idempotency-Key, so that it takes effect once.

import { Masters } from "./masters";
import { whoHeader } from "./who";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly problems: readonly string[],
  ) {
    super(message);
  }
}

const TRY_TIMEOUT_MS = 6_000;
const PATIENCE_MS = 15_000;
const PAUSE_MS = 150;

export class Client {
  constructor(readonly masters: Masters) {}

  get<T>(path: string): Promise<T> {
    return this.send<T>("GET", path, undefined, {});
  }

  change<T>(method: "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<T> {
    const headers = { "X-Titan-Request": "1", "Idempotency-Key": crypto.randomUUID(), "X-Titan-Who": whoHeader() };
    return this.send<T>(method, path, body ?? {}, headers);
  }

  async text(path: string): Promise<string> {
    const response = await this.tried("GET", path, undefined, {});
    return response.text();
  }

  async bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    const response = await this.tried("GET", path, undefined, {});
    return new Uint8Array(await response.arrayBuffer());
  }

  private async send<T>(
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
  ): Promise<T> {
    const response = await this.tried(method, path, body, headers);
    return (await response.json()) as T;
  }

  private async tried(
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
  ): Promise<Response> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const base = this.masters.base;
      try {
        const init: RequestInit = { method, headers, signal: AbortSignal.timeout(TRY_TIMEOUT_MS) };
        if (body !== undefined) init.body = JSON.stringify(body);
        const response = await fetch(base + path, init);
        if (response.ok) return response;
        const error = await refusal(response);
        if (response.status !== 503 || Date.now() > deadline) throw error;
      } catch (error) {
        if (error instanceof ApiError || Date.now() > deadline) throw error;
        this.masters.failed(base);
      }
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }
}

export async function refusal(response: Response): Promise<ApiError> {
  try {
    const body = await response.json();
    return new ApiError(response.status, body.code, body.message, body.hint ?? "", body.problems ?? []);
  } catch {
    return new ApiError(response.status, "error", `${response.status} ${response.statusText}`, "", []);
  }
}
