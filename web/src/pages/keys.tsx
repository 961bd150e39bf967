// The key-value store: keys by prefix, live, and the value of one. A write says which value it replaces, so that
// nobody's change is lost without a word.

import { useState } from "react";
import type { KvView } from "../api/types";
import { useFollowed, useLive } from "../state/live";
import { useWorld } from "../state/store";
import { useAct } from "../ui/act";
import { Empty } from "../ui/parts";
import { dateTime } from "../ui/time";

const SHOWN_MAX = 500;

export function Keys() {
  const [prefix, setPrefix] = useState("");
  const store = useFollowed(`keys=${encodeURIComponent(prefix)}`);
  const keys = useWorld(store, (world) => world.keys);
  const [chosen, setChosen] = useState<string | null>(null);
  const listed = [...keys.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  const view = chosen === null ? undefined : keys.get(chosen);
  return (
    <div className="keys-page">
      <h1>Keys</h1>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <input type="search" placeholder="prefix" aria-label="Keys that begin with" value={prefix} onChange={(event) => setPrefix(event.target.value)} />
        <button type="button" onClick={() => setChosen("")}>
          New key
        </button>
        <span>
          {listed.length} keys{listed.length > SHOWN_MAX && `, the first ${SHOWN_MAX} shown`}
        </span>
      </form>
      <div className={chosen === null ? "split is-whole" : "split"}>
        <div className="panel keys-list">
          {listed.length === 0 && <Empty>No keys{prefix !== "" && ` that begin with “${prefix}”`}.</Empty>}
          <table className="rows">
            <tbody>
              {listed.slice(0, SHOWN_MAX).map((each) => (
                <tr key={each.key} aria-selected={each.key === chosen}>
                  <td>
                    <button type="button" className="quiet" onClick={() => setChosen(each.key)}>
                      {each.key}
                    </button>
                  </td>
                  <td className="value">{each.members === null ? short(each.value) : `${each.members.length} members`}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        {chosen !== null && <OneKey key={`${chosen}/${view?.version ?? 0}`} name={chosen} view={view} onChoose={setChosen} />}
      </div>
    </div>
  );
}

function short(value: unknown): string {
  const text = String(value).replaceAll("\n", "⏎");
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

interface Props {
  readonly name: string;
  readonly view: KvView | undefined;
  readonly onChoose: (key: string | null) => void;
}

function OneKey({ name, view, onChoose }: Props) {
  const { client } = useLive();
  const act = useAct();
  const isSet = view !== undefined && view.members !== null;
  const before = view === undefined || isSet ? null : String(view.value);
  const [key, setKey] = useState(name);
  const [value, setValue] = useState(before ?? "");
  const [member, setMember] = useState("");
  const path = `/api/v1/store/${encodeURIComponent(key)}`;

  async function save() {
    const done = await act.run(async () => {
      const answer = await client.change<{ value: boolean }>("PUT", path, { value, expected: before });
      if (!answer.value) throw new Error("somebody else has changed it meanwhile");
    });
    void done;
    if (name === "") onChoose(key);
  }
  return (
    <section className="panel key-panel" aria-label={name || "New key"}>
      <header>
        <h2>{name || "New key"}</h2>
        <button type="button" className="quiet" aria-label="Close" onClick={() => onChoose(null)}>
          ✕
        </button>
      </header>
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      {view !== undefined && (
        <p className="reason">
          version {view.version}
          {view.expires_ms > 0 && `, until ${dateTime(view.expires_ms)}`}
        </p>
      )}
      {isSet ? (
        <>
          <ul className="members">
            {view.members?.slice(0, SHOWN_MAX).map((each) => (
              <li key={each}>
                <code>{each}</code>
                <button type="button" className="quiet" aria-label={`Remove ${each}`} onClick={() => void act.run(() => client.change("POST", `${path}/srem`, { member: each }))}>
                  ✕
                </button>
              </li>
            ))}
          </ul>
          <form className="filters" onSubmit={(event) => (event.preventDefault(), setMember(""), void act.run(() => client.change("POST", `${path}/sadd`, { member })))}>
            <input required aria-label="New member" value={member} onChange={(event) => setMember(event.target.value)} />
            <button type="submit">Add member</button>
          </form>
        </>
      ) : (
        <form className="stack" onSubmit={(event) => (event.preventDefault(), void save())}>
          {name === "" && (
            <label>
              key
              <input required value={key} onChange={(event) => setKey(event.target.value)} spellCheck={false} />
            </label>
          )}
          <label>
            value
            <textarea rows={12} value={value} onChange={(event) => setValue(event.target.value)} spellCheck={false} />
          </label>
          <div className="actions">
            <button type="submit" className="primary" disabled={act.isBusy || (name !== "" && value === before)}>
              Save
            </button>
          </div>
        </form>
      )}
      {view !== undefined && (
        <button type="button" className="danger" onClick={() => void act.run(() => client.change("DELETE", path)).then(() => onChoose(null))}>
          Delete key
        </button>
      )}
    </section>
  );
}
