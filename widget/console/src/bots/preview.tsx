import type { CSSProperties, ReactNode } from "react";
import type { BotConfig } from "../resources";
import { accentColours, Face } from "./face";
import { Portrait } from "./portrait";

/** A drawing of the chat on somebody's page, as the edited theme would show it. */
export function Preview({ config }: { config: BotConfig }): ReactNode {
  const { theme, avatar, name, greeting, starters } = config;
  const { background, text } = accentColours(theme.accent);
  const style = { "--accent": background, "--on-accent": text } as CSSProperties;
  return (
    <div className="preview" data-mode={theme.mode} data-side={theme.position} style={style} inert>
      <div className="preview-page">
        <i /> <i /> <i /> <i />
      </div>
      <div className="preview-panel">
        <div className="preview-top">
          {avatar.kind !== "none" && <Portrait look={avatar.look} accent={theme.accent} size={34} />}
          <b>{name || "No name"}</b>
        </div>
        <div className="preview-log">
          <p>{greeting || "Hi! How can I help you?"}</p>
          <p className="preview-visitor">{starters[0] || "What are your opening hours?"}</p>
        </div>
        <div className="preview-composer">Write a message…</div>
      </div>
      <div className="preview-launcher">
        <Face accent={theme.accent} size={38} />
      </div>
    </div>
  );
}
