// Who did what: orders of people and their programs, newest first.

import { useState } from "react";
import { Link } from "wouter";
import { auditQuery, KINDS, objectLink, splitWho, type AuditFilter } from "../audit/orders";
import type { OrderView, Page } from "../api/types";
import { useLive } from "../state/live";
import { useNow } from "../state/now";
import { useAnswer } from "../state/refetched";
import type { Store } from "../state/store";
import { useAct } from "../ui/act";
import { Empty } from "../ui/parts";
import { ago, dateTime } from "../ui/time";
import { SINCE } from "../dead/filter";

/** `follow` moves with every entry of the log: only then there can be something new. */
export function Audit({ follow }: { readonly follow: Store }) {
  const { client } = useLive();
  const act = useAct();
  const nowMs = useNow(5000);
  const [filter, setFilter] = useState<AuditFilter>({ who: "", object: "", kind: "", sinceMs: 0 });
  const path = `/api/v1/audit?${auditQuery(filter)}`;
  const first = useAnswer<Page<OrderView>>(path, follow).answer;
  const [older, setOlder] = useState<{ readonly path: string; readonly items: readonly OrderView[]; readonly next: string | null } | null>(null);
  const held = older !== null && older.path === path ? older : null;
  const newest = first?.items ?? [];
  const seen = new Set(newest.map((order) => order.number));
  const shown = [...newest, ...(held?.items.filter((order) => !seen.has(order.number)) ?? [])];
  const hasMore = held === null ? (first?.next ?? null) !== null : held.next !== null;
  async function more() {
    const page = await client.get<Page<OrderView>>(`${path}&before=${shown.at(-1)?.number ?? 0}`);
    setOlder({ path, items: [...shown, ...page.items], next: page.next });
  }
  return (
    <>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <input type="search" placeholder="who" aria-label="Filter by who" value={filter.who} onChange={(event) => setFilter({ ...filter, who: event.target.value })} />
        <input type="search" placeholder="object" aria-label="Filter by object" value={filter.object} onChange={(event) => setFilter({ ...filter, object: event.target.value })} />
        <select aria-label="Kind of object" value={filter.kind} onChange={(event) => setFilter({ ...filter, kind: event.target.value })}>
          <option value="">everything</option>
          {KINDS.map((each) => (
            <option key={each} value={each}>
              {each}s
            </option>
          ))}
        </select>
        <select
          aria-label="Since"
          onChange={(event) => {
            const spanMs = Number(event.target.value);
            setFilter({ ...filter, sinceMs: spanMs === 0 ? 0 : Date.now() - spanMs });
          }}
        >
          {SINCE.map(([label, spanMs]) => (
            <option key={label} value={spanMs}>
              {label}
            </option>
          ))}
        </select>
        <span>{shown.length} shown</span>
      </form>
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      {shown.length === 0 ? (
        <Empty>{first === null ? "Loading…" : "Nobody has ordered anything that matches."}</Empty>
      ) : (
        <table className="rows cards-when-narrow">
          <thead>
            <tr>
              <th>when</th>
              <th>who</th>
              <th>did</th>
              <th>to</th>
              <th>detail</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((order) => (
              <Row key={order.number} order={order} nowMs={nowMs} />
            ))}
          </tbody>
        </table>
      )}
      {hasMore && (
        <button type="button" disabled={act.isBusy} onClick={() => void act.run(more)}>
          Older
        </button>
      )}
      <p className="empty">Who it was is what the client says of itself, no proof.</p>
    </>
  );
}

function Row({ order, nowMs }: { readonly order: OrderView; readonly nowMs: number }) {
  const { through, who } = splitWho(order.who);
  const href = objectLink(order);
  return (
    <tr>
      <td data-label="when">
        <time title={`${dateTime(order.at_ms)}, index ${order.index}`}>{ago(order.at_ms, nowMs)}</time>
      </td>
      <td data-label="who">
        {who} {through !== "" && <span className="tag">{through}</span>}
      </td>
      <td data-label="did" className="word">
        <code>{order.action}</code>
      </td>
      <td data-label="to">
        <small>{order.kind}</small> {href === "" ? <code>{order.object}</code> : <Link href={href}>{order.object}</Link>}
      </td>
      <td data-label="detail">{order.detail || "–"}</td>
    </tr>
  );
}
