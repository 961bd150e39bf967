// The newest of what happened; the rest is on the page of events.

import { Link } from "wouter";
import type { Fact } from "../api/types";
import { useRefetched } from "../state/refetched";
import { About } from "../ui/fact";
import { Empty, Panel } from "../ui/parts";

const SHOWN = 8;
const TOLD = ["run", "job", "state", "worker", "name", "key"]; // numbers are on the page of events

export function Recent() {
  const facts = useRefetched<Fact>(`/api/v1/events?limit=${SHOWN}`);
  return (
    <Panel title="Recent events" actions={<Link href="/events">all events</Link>}>
      {facts === null || facts.length === 0 ? (
        <Empty>Nothing has happened yet that this master remembers.</Empty>
      ) : (
        <ol className="recent">
          {facts.map((fact) => (
            <li key={fact.id}>
              <code>{fact.kind}</code>
              <span>
                <About fact={fact} only={TOLD} />
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
