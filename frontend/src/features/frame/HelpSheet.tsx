/** The `?` sheet: the shortcut table, as it is obeyed. */
import { SHORTCUTS, keyCaps } from "../../domain/shortcuts";
import { Dialog } from "../../ui/parts";

const GROUPS = [...new Set(SHORTCUTS.map(({ group }) => group))];

export function HelpSheet({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <div className="help">
        {GROUPS.map((group) => (
          <section key={group}>
            <h2>{group}</h2>
            <dl>
              {SHORTCUTS.filter((shortcut) => shortcut.group === group).map((shortcut) => (
                <div key={shortcut.action}>
                  <dt>
                    {keyCaps(shortcut).map((cap) => (
                      <kbd key={cap}>{cap}</kbd>
                    ))}
                  </dt>
                  <dd>{shortcut.says}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
