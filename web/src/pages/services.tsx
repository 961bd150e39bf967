// Services: what is kept alive, where it answers, and how it fares.

import { Link } from "wouter";
import type { ServiceView } from "../api/types";
import { useLive } from "../state/live";
import { useRefetched } from "../state/refetched";
import { useAct } from "../ui/act";
import { Empty, StateBadge } from "../ui/parts";
import { ago } from "../ui/time";

const LOOKS: Readonly<Record<string, string>> = { healthy: "COMPLETED", starting: "RUNNING", unhealthy: "FAILED", "crash-loop": "DEAD" };

export function Services() {
  const { client } = useLive();
  const act = useAct();
  const services = useRefetched<ServiceView>("/api/v1/services");
  if (services === null) return <Empty>Loading…</Empty>;
  const stop = (service: ServiceView) =>
    void act.run(() => client.change("POST", `/api/v1/runs/${service.run}/services/${encodeURIComponent(service.name)}/stop`));
  return (
    <>
      <h1>Services</h1>
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      {services.length === 0 ? (
        <Empty>
          No services. A job of <code>type: service</code> is kept alive until it is stopped.
        </Empty>
      ) : (
        <table className="rows cards-when-narrow">
          <thead>
            <tr>
              <th>service</th>
              <th>health</th>
              <th>address</th>
              <th>worker</th>
              <th className="number">restarts</th>
              <th>since</th>
              <th>run</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {services.map((service) => (
              <tr key={`${service.run}/${service.name}`}>
                <td>
                  {service.name} {service.version !== "" && <span className="tag">{service.version}</span>}
                </td>
                <td title={service.reason} data-label="health">
                  <StateBadge state={LOOKS[service.health] ?? service.state} label={service.health || service.state.toLowerCase()} />
                </td>
                <td data-label="address" className="word">
                  <code>{service.address || "–"}</code>
                </td>
                <td data-label="worker">
                  <code>{service.worker || "–"}</code>
                </td>
                <td className="number" data-label="restarts">{service.restarts}</td>
                <td data-label="since">{ago(service.since_ms, Date.now())}</td>
                <td data-label="run">
                  <Link href={`/runs/${service.run}`}>{service.run_name}</Link>
                </td>
                <td>
                  <button type="button" className="danger" disabled={act.isBusy} onClick={() => stop(service)}>
                    Stop
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
