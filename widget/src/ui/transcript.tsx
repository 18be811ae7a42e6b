/** The messages, kept at the bottom while the reader is there. */

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Shown } from "../player";
import { type ChatMessage, type ChatState, isRunning } from "../state";
import type { Texts } from "../texts";
import { Icon } from "./icons";
import { Message, type MessageActions } from "./message";

const NEAR_BOTTOM_PX = 56;

export interface TranscriptProps {
  readonly state: ReadonlySignal<ChatState>;
  readonly shown: ReadonlySignal<Shown | null>;
  readonly botName: string;
  readonly greeting: string;
  readonly starters: readonly string[];
  readonly held: boolean;
  readonly texts: Texts;
  readonly actions: MessageActions;
  readonly box: RefObject<HTMLDivElement | null>;
  readonly onOffer: (text: string) => void;
  readonly onOlder: () => void;
  readonly onComposer: () => void;
}

export function Transcript(props: TranscriptProps) {
  const { texts, actions, box } = props;
  const state = props.state.value;
  const away = useMemo(() => signal(false), []);
  const welcomed = useRef(performance.now());
  useEffect(() => stickToBottom(props, away), []);
  const { messages } = state;
  const last = messages.findLast((one) => one.role === "assistant");
  return (
    <div class="middle">
      <div
        class="transcript"
        part="transcript"
        ref={box}
        role="log"
        aria-live="off"
        aria-label={texts.transcript}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        tabIndex={0}
        onKeyDown={(event) => walk(event, props.onComposer)}
      >
        {state.hasOlder && (
          <button type="button" class="link older" onClick={props.onOlder}>
            {texts.older}
          </button>
        )}
        {!state.hasOlder && props.greeting && (
          <Message {...shared(props)} message={greetingOf(props)} last={false} fresh={false} actions={actions} />
        )}
        {messages.map((message) => (
          <Message
            key={message.key}
            {...shared(props)}
            message={message}
            last={message === last}
            fresh={performance.now() - welcomed.current > 1200}
            actions={actions}
          />
        ))}
        <Offers {...props} />
      </div>
      {away.value && (
        <button type="button" class="jump" onClick={() => scrollDown(box.current, true)}>
          <Icon name="down" size={16} />
          {texts.newMessages}
        </button>
      )}
    </div>
  );
}

const shared = ({ botName, texts, shown, held }: TranscriptProps) => ({ botName, texts, shown, held });

const greetings = new WeakMap<Texts, ChatMessage>();

/** The greeting is ours alone: it is not in the log and costs the server nothing. */
function greetingOf({ greeting, texts }: TranscriptProps): ChatMessage {
  const known = greetings.get(texts);
  if (known?.text === greeting) return known;
  const made: ChatMessage = {
    key: "greeting",
    role: "assistant",
    author: { kind: "bot" },
    text: greeting,
    delivery: "complete",
    citations: [],
    suggestions: [],
  };
  greetings.set(texts, made);
  return made;
}

/** Starters before the first message, the last answer's suggestions once it is all shown. */
function Offers({ state, shown, starters, texts, onOffer }: TranscriptProps) {
  const { messages, hasOlder } = state.value;
  const last = messages.at(-1);
  const first = messages.length === 0 && !hasOlder;
  const running = last && (isRunning(last) || (shown.value?.streamId === last.streamId && shown.value?.done === false));
  const offers = first ? starters : last && !running ? last.suggestions : [];
  if (offers.length === 0) return null;
  return (
    <div class={first ? "offers first" : "offers"} role="group" aria-label={texts.suggestions}>
      {offers.map((text) => (
        <button key={text} type="button" class="offer" onClick={() => onOffer(text)}>
          <span dir="auto">{text}</span>
          {first && <Icon name="arrow" size={16} />}
        </button>
      ))}
    </div>
  );
}

/** Follow the newest text, at most once per frame, unless the reader has scrolled away. */
function stickToBottom({ state, shown, box }: TranscriptProps, away: { value: boolean }): () => void {
  let stuck = true;
  let pending = 0;
  let own = 0;
  let top = 0;
  const follow = () => {
    pending = 0;
    if (!stuck) {
      away.value = true;
      return;
    }
    scrollDown(box.current, false);
  };
  const soon = () => {
    pending ||= requestAnimationFrame(follow);
  };
  const element = box.current;
  const scrolled = () => {
    if (!element) return;
    const near = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_BOTTOM_PX;
    // Only a reader moves up: below a new message our own last scroll is far from the bottom too.
    if (near) stuck = true;
    else if (element.scrollTop < top) stuck = false;
    top = element.scrollTop;
    if (stuck) away.value = false;
  };
  const sized = new ResizeObserver(() => stuck && soon());
  if (element) sized.observe(element);
  element?.addEventListener("scroll", scrolled, { passive: true });
  const stop = effect(() => {
    const { messages } = state.value;
    const count = messages.filter((one) => one.role === "user").length;
    if (count !== own) stuck = true; // who writes wants to see it
    own = count;
    void shown.value;
    soon();
  });
  return () => {
    stop();
    sized.disconnect();
    element?.removeEventListener("scroll", scrolled);
    cancelAnimationFrame(pending);
  };
}

export function scrollDown(box: HTMLElement | null, smooth: boolean): void {
  box?.scrollTo({ top: box.scrollHeight, behavior: smooth ? "smooth" : "instant" });
}

/** Up, Down, Home and End walk the messages; Enter goes into one; Escape returns to the composer. */
function walk(event: KeyboardEvent, toComposer: () => void): void {
  const box = event.currentTarget as HTMLElement;
  const target = event.target as HTMLElement;
  const article = target.closest<HTMLElement>("article");
  if (target !== box && target !== article) return;
  if (event.key === "Escape" && target === article) {
    event.stopPropagation();
    toComposer();
    return;
  }
  if (event.key === "Enter" && article) {
    article.querySelector<HTMLElement>("button,a")?.focus();
    event.preventDefault();
    return;
  }
  const articles = [...box.querySelectorAll<HTMLElement>("article")];
  const at = article ? articles.indexOf(article) : articles.length;
  const next = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: articles.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  articles[Math.max(0, Math.min(next, articles.length - 1))]?.focus();
}
