/** Where the visitor writes. Enter sends, Shift+Enter breaks the line; while an answer runs the button stops it. */

import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Texts } from "../texts";
import { Icon } from "./icons";

const WARN_SHARE = 0.9;
const MOST_HEIGHT_PX = 140;

export interface ComposerProps {
  readonly texts: Texts;
  readonly draft: string;
  readonly maxChars: number;
  readonly answering: boolean;
  readonly disabled: boolean;
  readonly disclosure: boolean;
  readonly input: RefObject<HTMLTextAreaElement | null>;
  readonly onDraft: (text: string) => void;
  readonly onSend: () => void;
  readonly onStop: () => void;
  readonly onScroll: (pages: -1 | 1) => void;
  readonly onLeave: () => void;
}

export function Composer(props: ComposerProps) {
  const { texts, draft, maxChars, answering, disabled, input } = props;
  const composing = useRef(false);
  const tooLong = draft.trim().length > maxChars;
  const empty = draft.trim() === "";
  const stops = answering && empty;
  useLayoutEffect(() => grow(input.current), [draft]);

  const keys = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !composing.current) {
      event.preventDefault();
      if (!empty && !tooLong) props.onSend();
    } else if ((event.key === "PageUp" || event.key === "PageDown") && draft === "") {
      event.preventDefault();
      props.onScroll(event.key === "PageUp" ? -1 : 1);
    }
  };
  return (
    <form
      class="composer"
      part="composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (!empty && !tooLong) props.onSend();
      }}
    >
      <div class="field">
        <textarea
          ref={input}
          rows={1}
          value={draft}
          placeholder={texts.placeholder}
          aria-label={texts.message}
          aria-invalid={tooLong}
          disabled={disabled}
          dir="auto"
          enterkeyhint="send"
          autocomplete="off"
          onInput={(event) => props.onDraft(event.currentTarget.value)}
          onKeyDown={keys}
          onBlur={props.onLeave}
          onCompositionStart={() => {
            composing.current = true;
          }}
          onCompositionEnd={() => {
            composing.current = false;
          }}
        />
        <button
          type={stops ? "button" : "submit"}
          class="go"
          aria-label={stops ? texts.stop : texts.send}
          title={stops ? texts.stop : texts.send}
          disabled={!stops && (empty || tooLong || disabled)}
          {...(stops ? { onClick: props.onStop } : {})}
        >
          <Icon name={stops ? "stop" : "send"} size={22} />
        </button>
      </div>
      <Foot {...props} tooLong={tooLong} />
    </form>
  );
}

function Foot({ texts, draft, maxChars, disclosure, tooLong }: ComposerProps & { readonly tooLong: boolean }) {
  if (draft.length > maxChars * WARN_SHARE) {
    return (
      <p class={tooLong ? "foot bad" : "foot"} role={tooLong ? "alert" : undefined}>
        {draft.trim().length} / {maxChars}. {tooLong && texts.tooLong(maxChars)}
      </p>
    );
  }
  return disclosure ? <p class="foot">{texts.disclosure}</p> : null;
}

function grow(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.style.setProperty("height", "auto");
  area.style.setProperty("height", `${Math.min(area.scrollHeight, MOST_HEIGHT_PX)}px`);
  area.style.setProperty("overflow-y", area.scrollHeight > MOST_HEIGHT_PX ? "auto" : "hidden");
}
