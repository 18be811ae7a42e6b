/** The one polite live region: whole sentences of the answer, at most every 1.5 s. Never the token stream itself. */

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { plainText } from "../markdown";
import { type ChatState, isRunning } from "../state";

const EVERY_MS = 1_500;
const SENTENCE = /^[\s\S]*[.!?:\u3002\uff01\uff1f](?=\s|$)|^[\s\S]*\n/;

/** How much of `text` from `from` on may be said: whole sentences, or all of it once it is finished. */
export function sayable(text: string, from: number, finished: boolean): number {
  if (finished) return text.length;
  return from + (SENTENCE.exec(text.slice(from))?.[0].length ?? 0);
}

export function Announcer({ state }: { readonly state: ReadonlySignal<ChatState> }) {
  const said = useMemo(() => signal(""), []);
  useEffect(() => announce(state, said), []);
  return (
    <div class="sr" aria-live="polite" aria-atomic="true">
      {said.value}
    </div>
  );
}

function announce(state: ReadonlySignal<ChatState>, said: { value: string }): () => void {
  let streamId = "";
  let from = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const say = () => {
    timer = undefined;
    const message = state.peek().messages.findLast((one) => one.streamId === streamId);
    if (!message) return;
    const to = sayable(message.text, from, !isRunning(message));
    if (to <= from) return;
    said.value = plainText(message.text.slice(from, to));
    from = to;
    timer = setTimeout(say, EVERY_MS);
  };
  const stop = effect(() => {
    const message = state.value.messages.findLast((one) => one.streamId !== undefined);
    if (!message?.streamId) return;
    if (message.streamId !== streamId) {
      streamId = message.streamId;
      from = 0;
    }
    from = Math.min(from, message.text.length);
    timer ??= setTimeout(say, 0);
  });
  return () => {
    stop();
    clearTimeout(timer);
  };
}
