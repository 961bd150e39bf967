// The constructor's toolbar and palette.

import { Icon, type IconName } from "../ui/icon";
import { DRAGGED, iconOf } from "./canvas";
import type { Way } from "./align";
import type { DraftState } from "./use-draft";

const NAMES: Readonly<Record<string, string>> = { run: "Task", service: "Service", gate: "Gate", pipeline: "Sub-pipeline" };
const DRAFT_WORDS: Readonly<Record<DraftState, string>> = {
  new: "nothing to save yet",
  loading: "loading…",
  unsaved: "saving…",
  saving: "saving…",
  saved: "draft saved",
  conflict: "changed elsewhere",
  "too large": "too large to be kept as a draft",
  failed: "not saved",
};

export function Palette({ types, onAdd }: { readonly types: readonly string[]; readonly onAdd: (type: string) => void }) {
  return (
    <div className="palette" role="toolbar" aria-label="Add" >
      {types.map((type) => (
        <button
          key={type}
          type="button"
          draggable
          onDragStart={(event) => event.dataTransfer.setData(DRAGGED, type)}
          onClick={() => onAdd(type)}
          title={`Add: ${NAMES[type] ?? type}. Drag it, or click; with one job chosen it comes after that`}
        >
          <Icon name={iconOf(type)} /> {NAMES[type] ?? type}
        </button>
      ))}
    </div>
  );
}

interface Props {
  readonly name: string;
  readonly draftState: DraftState;
  readonly chosen: number;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  readonly flaws: number | null;
  readonly isBusy: boolean;
  readonly onUndo: () => void;
  readonly onRedo: () => void;
  readonly onDuplicate: () => void;
  readonly onDelete: () => void;
  readonly onAlign: (way: Way) => void;
  readonly onTidy: () => void;
  readonly onLoad: () => void;
  readonly onSave: () => void;
  readonly onDeploy: () => void;
}

const WAYS: readonly (readonly [Way & IconName, string])[] = [
  ["left", "Same left edge"],
  ["top", "Same height"],
  ["row", "An even row"],
  ["column", "An even column"],
];

export function Toolbar(props: Props) {
  return (
    <header className="build-bar">
      <h1>{props.name}</h1>
      <small role="status">{DRAFT_WORDS[props.draftState]}</small>
      <span className="spacer" />
      <div className="group" role="toolbar" aria-label="Edit">
        <button type="button" disabled={!props.canUndo} onClick={props.onUndo} title="Undo (Ctrl+Z)" aria-label="Undo">
          <Icon name="undo" />
        </button>
        <button type="button" disabled={!props.canRedo} onClick={props.onRedo} title="Redo (Ctrl+Shift+Z)" aria-label="Redo">
          <Icon name="redo" />
        </button>
        <button type="button" disabled={props.chosen === 0} onClick={props.onDuplicate} title="Duplicate (Ctrl+D)" aria-label="Duplicate">
          <Icon name="copy" />
        </button>
        <button type="button" disabled={props.chosen === 0} onClick={props.onDelete} title="Delete (Del)" aria-label="Delete">
          <Icon name="remove" />
        </button>
      </div>
      <div className="group" role="toolbar" aria-label="Arrange">
        {WAYS.map(([way, words]) => (
          <button key={way} type="button" disabled={props.chosen < 2} onClick={() => props.onAlign(way)} title={words} aria-label={words}>
            <Icon name={way} />
          </button>
        ))}
        <button type="button" onClick={props.onTidy} title="Lay everything out anew">
          Tidy
        </button>
      </div>
      <button type="button" onClick={props.onLoad}>
        Open…
      </button>
      <button type="button" disabled={props.isBusy || props.flaws !== 0} onClick={props.onSave} title="Keep it under its name, as a new version">
        Save
      </button>
      <button
        type="button"
        className="primary"
        disabled={props.isBusy || props.flaws === null || props.flaws > 0}
        onClick={props.onDeploy}
        title={props.flaws ? "Mend the problems first" : "Start a run of it"}
      >
        Deploy
      </button>
    </header>
  );
}
