// A run's labels as tags; each leads to the runs that have it.

import { Link } from "wouter";
import { runsPath } from "./filter";

export function Labels({ labels }: { readonly labels: Readonly<Record<string, string>> }) {
  const written = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  if (written.length === 0) return null;
  return (
    <span className="tags" role="group" aria-label="Labels">
      {written.sort().map((label) => (
        <Link key={label} className="tag" href={runsPath(label)} title={`Runs with ${label}`}>
          {label}
        </Link>
      ))}
    </span>
  );
}
