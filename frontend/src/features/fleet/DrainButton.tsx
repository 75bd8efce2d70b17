/** Take a node out of rotation after asking, put it back at once; either can be taken back. */
import { useState } from "react";

import type { FleetNode } from "../../api/types";
import { inRotation, servesAlone } from "../../domain/fleetMode";
import { stageOfModel } from "../../domain/stages";
import { Icon } from "../../ui/icons";
import { Dialog, Notice } from "../../ui/parts";
import { useMessages, type Messages } from "../../ui/toasts";
import type { FleetStore } from "./fleetStore";

interface Props {
  node: FleetNode;
  nodes: readonly FleetNode[];
  asked: boolean | undefined;
  store: FleetStore;
}

export function DrainButton({ node, nodes, asked, store }: Props) {
  const [confirming, setConfirming] = useState(false);
  const draining = asked ?? node.draining;
  const messages = useMessages();
  const set = (wanted: boolean) => void drainAndOfferUndo(store, messages, node.name, wanted);
  return (
    <>
      <button
        type="button"
        className="button"
        disabled={asked !== undefined}
        title={draining ? "Give it work again" : "Give it no new work; what runs there finishes"}
        onClick={() => (draining ? set(false) : setConfirming(true))}
      >
        <Icon name={draining ? "play" : "pause"} />
        {draining ? "Put back to work" : "Drain"}
        <span className="visually-hidden"> {node.name}</span>
      </button>
      {confirming && (
        <Confirm
          node={node}
          alone={inRotation(node) ? servesAlone(node, nodes) : []}
          onClose={() => setConfirming(false)}
          onDrain={() => set(true)}
        />
      )}
    </>
  );
}

async function drainAndOfferUndo(
  store: FleetStore,
  messages: Messages,
  name: string,
  draining: boolean,
): Promise<void> {
  const refusal = await store.drain(name, draining);
  if (refusal !== null) {
    messages.complain(refusal);
    return;
  }
  messages.say(draining ? `${name} gets no new work.` : `${name} gets work again.`, {
    label: "Undo",
    act: () => void drainAndOfferUndo(store, messages, name, !draining),
  });
}

interface ConfirmProps {
  node: FleetNode;
  alone: readonly string[];
  onClose: () => void;
  onDrain: () => void;
}

function Confirm({ node, alone, onClose, onDrain }: ConfirmProps) {
  return (
    <Dialog title={`Drain ${node.name}?`} onClose={onClose}>
      <form
        method="dialog"
        className="confirm"
        onSubmit={() => {
          onDrain();
        }}
      >
        <p>
          It gets no new work from any line until it is put back to work. What runs there finishes
          {node.load.outstanding > 0 && ` (${node.load.outstanding} under way)`}.
        </p>
        {alone.map((model) => (
          <Notice key={model}>
            <p>
              Without {node.name}, {stageOfModel(model)?.without ?? `nothing in rotation serves ${model}.`}
            </p>
          </Notice>
        ))}
        <div className="buttons">
          <button type="button" className="button" onClick={onClose} autoFocus>
            Cancel
          </button>
          <button type="submit" className="button primary">
            Drain {node.name}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
