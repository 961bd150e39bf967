// How much waits, and for what, as the leader's planner sees it.

import type { Fleet } from "../api/types";
import { Empty, Panel } from "../ui/parts";
import { standing } from "./words";

export function Queues({ fleet }: { readonly fleet: Fleet | null }) {
  if (fleet === null) {
    return (
      <Panel title="Queues">
        <Empty>Unknown: no leader answers.</Empty>
      </Panel>
    );
  }
  const { queues } = fleet;
  const most = Math.max(1, ...queues.requirements.map((depth) => depth.jobs));
  return (
    <Panel title="Queues">
      <ul className="depths">
        <Count about="ready" count={queues.ready} title="could start now, had they a worker" />
        <Count about="held" count={queues.held} title="their parents have not ended, or their time has not come" />
        <Count about="for people" count={queues.waiting} title="gates that wait for somebody" />
        <Count about="unpaid" count={queues.unpaid} title="no budget has paid for them" />
        <Count about="on workers" count={queues.placed} title="placed; most of them run" />
      </ul>
      {queues.requirements.length === 0 ? (
        <Empty>No job waits for a worker.</Empty>
      ) : (
        <ul className="queues">
          {queues.requirements.map((depth) => {
            const { sign, className } = standing(depth);
            return (
              <li key={depth.requirement.join(" ")} className={className}>
                <span className="tags">
                  {depth.requirement.length === 0 ? <span className="tag">any worker</span> : depth.requirement.map((tag) => (
                    <span key={tag} className="tag">
                      {tag}
                    </span>
                  ))}
                </span>
                <span className="queue-bar" aria-hidden="true">
                  <i style={{ width: `${(100 * depth.jobs) / most}%` }} />
                </span>
                <strong className="number">{depth.jobs.toLocaleString("en")}</strong>
                <span className="queue-why">
                  <span aria-hidden="true" className="sign">
                    {sign}
                  </span>{" "}
                  {depth.text}
                </span>
              </li>
            );
          })}
          {queues.others > 0 && <li className="empty">and {queues.others.toLocaleString("en")} more with other requirements</li>}
        </ul>
      )}
    </Panel>
  );
}

function Count({ about, count, title }: { readonly about: string; readonly count: number; readonly title: string }) {
  return (
    <li title={title}>
      <strong>{count.toLocaleString("en")}</strong> {about}
    </li>
  );
}
