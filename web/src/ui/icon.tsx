// Icons as paths of our own: a font may lack any sign, and nothing is fetched from outside. 24 × 24, drawn by stroke.

const PATHS = {
  orchestrator: "M12 3v4M12 17v4M3 12h4M17 12h4M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18",
  runs: "M4 6h16M4 12h16M4 18h10",
  constructor: "M3 5h6v5H3zM15 14h6v5h-6zM9 7.5h4a2 2 0 0 1 2 2v4.5a2 2 0 0 0 0 2.5",
  agents: "M4 6h9M8 12h9M12 18h8",
  keys: "M8 11a4 4 0 1 1 0 .01M11.5 13.5 20 20M17 17.5l2-2",
  schedules: "M12 4a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M12 8v5l3 2M9 1.5h6",
  dead: "M5 21V10a7 7 0 0 1 14 0v11zM9 11l6 0M12 8v8",
  who: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.5 20.5a7.5 7.5 0 0 1 15 0",
  menu: "M4 6h16M4 12h16M4 18h16",
  events: "M3 12h4l3-8 4 16 3-8h4",
  undo: "M9 7 4 12l5 5M4 12h10a5 5 0 0 1 0 10h-2",
  redo: "m15 7 5 5-5 5M20 12H10a5 5 0 0 0 0 10h2",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  left: "M4 3v18M8 7h12M8 16h7",
  top: "M3 4h18M7 8v12M16 8v7",
  row: "M3 9h4v6H3zM10 9h4v6h-4zM17 9h4v6h-4z",
  column: "M9 3h6v4H9zM9 10h6v4H9zM9 17h6v4H9z",
  task: "m8 5 10 7-10 7z",
  service: "M7 8a4 4 0 1 0 0 8c4 0 6-8 10-8a4 4 0 1 1 0 8c-4 0-6-8-10-8",
  gate: "M8 5v14M16 5v14",
  pipeline: "M4 4h9v9H4zM11 17v3h9v-9h-3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" width="1.15em" height="1.15em" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}
