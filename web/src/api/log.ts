// Following a job's output: bytes as they come, from the offset that is already here, at whichever master answers.

import { ApiError, refusal, type Client } from "./client";

const PAUSE_MS = 400;

export interface LogSource {
  readonly run: string;
  readonly job: string;
  readonly attempt: number; // 0: the newest
}

export function logPath({ run, job, attempt }: LogSource): string {
  return `/api/v1/runs/${encodeURIComponent(run)}/jobs/${encodeURIComponent(job)}/log?attempt=${attempt}`;
}

/** Call `onText` with each piece until the job has ended or `signal` says stop. Throws `ApiError`. */
export async function followLog(
  client: Client,
  source: LogSource,
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const decoder = new TextDecoder("utf-8", { fatal: false });
  let offset = 0;
  while (!signal.aborted) {
    const base = client.masters.base;
    try {
      const response = await fetch(`${base}${logPath(source)}&offset=${offset}&follow=true`, { signal });
      if (!response.ok) throw await refusal(response);
      if (response.body !== null) {
        const reader = response.body.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          offset += value.length;
          onText(decoder.decode(value, { stream: true }));
        }
      }
      onText(decoder.decode());
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status !== 503) throw error;
      client.masters.failed(base);
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }
}
