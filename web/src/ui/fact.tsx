// What a fact is about, as a line.

import { Link } from "wouter";
import type { Fact } from "../api/types";

/** All fields, or those of `only`, in its order, if it has any of them. */
export function About({ fact, only }: { readonly fact: Fact; readonly only?: readonly string[] }) {
  const all = Object.entries(fact.about);
  const wanted = only?.flatMap((name) => (name in fact.about ? [[name, fact.about[name]] as const] : [])) ?? [];
  return (wanted.length > 0 ? wanted : all).map(([name, value]) => (
    <span key={name} className="about">
      <small>{name}</small>{" "}
      {name === "run" ? <Link href={`/runs/${String(value)}`}>{String(value)}</Link> : <code>{told(value)}</code>}
    </span>
  ));
}

function told(value: unknown): string {
  const text = typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
