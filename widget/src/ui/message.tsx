/** One message: the bubble, and below an answer its sources and what can be done with it. */

import { computed, type ReadonlySignal } from "@preact/signals";
import { Component } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { MarkdownView, safeUrl, withoutCitations } from "../markdown";
import type { Shown } from "../player";
import type { Citation } from "../protocol";
import { type ChatMessage, isRunning } from "../state";
import { errorText, type Texts } from "../texts";
import { Icon, type IconName } from "./icons";

const PATIENCE_MS = 8_000;

export interface MessageActions {
  readonly retry: (message: ChatMessage) => void;
  readonly discard: (message: ChatMessage) => void;
  readonly regenerate: (message: ChatMessage) => void;
  readonly rate: (message: ChatMessage, rating: "up" | "down") => void;
  readonly cited: (citation: Citation) => void;
}

export interface MessageProps {
  readonly message: ChatMessage;
  readonly last: boolean;
  readonly fresh: boolean;
  /** Without a connection nothing is on its way. */
  readonly held: boolean;
  readonly botName: string;
  readonly texts: Texts;
  readonly shown: ReadonlySignal<Shown | null>;
  readonly actions: MessageActions;
}

/** Drawn again only when something about it changed: a token touches one message, not the whole transcript. */
export class Message extends Component<MessageProps> {
  override shouldComponentUpdate(next: MessageProps): boolean {
    return (Object.keys(next) as (keyof MessageProps)[]).some((name) => next[name] !== this.props[name]);
  }

  render() {
    const { message, fresh, texts, botName } = this.props;
    const mine = message.role === "user";
    const pending = message.delivery === "sending" || message.delivery === "queued";
    const names = [
      "message",
      message.role,
      fresh && "fresh",
      pending && "pending",
      message.delivery === "failed" && "failed",
    ];
    return (
      <article class={names.filter(Boolean).join(" ")} tabIndex={-1} part="message">
        <span class="sr">{mine ? texts.youSaid : texts.botSaid(message.author.name ?? botName)}</span>
        {mine || message.role === "system" ? <Plain {...this.props} /> : <Answer {...this.props} />}
      </article>
    );
  }
}

function Plain({ message, held, texts, actions }: MessageProps) {
  const { delivery, error } = message;
  return (
    <>
      <div class="bubble" part="bubble">
        <div dir="auto">{message.text}</div>
      </div>
      {(delivery === "queued" || (delivery === "sending" && held)) && <div class="note">{texts.queued}</div>}
      {delivery === "failed" && error && (
        <div class="note bad" role="alert">
          <span>{errorText(texts, error.code)}</span>
          {error.retryable && <TextButton label={texts.retry} onClick={() => actions.retry(message)} />}
          <TextButton label={texts.discard} onClick={() => actions.discard(message)} />
        </div>
      )}
    </>
  );
}

function TextButton({ label, onClick }: { readonly label: string; readonly onClick: () => void }) {
  return (
    <button type="button" class="link" onClick={onClick}>
      {label}
    </button>
  );
}

function Answer(props: MessageProps) {
  const { message, texts, shown, actions } = props;
  const { streamId } = message;
  const mine = useMemo(
    () => computed(() => (shown.value?.streamId === streamId ? shown.value : null)),
    [shown, streamId],
  );
  const now = mine.value;
  const revealing = now !== null && !now.done;
  const text = revealing ? message.text.slice(0, now.chars) : message.text;
  const settled = !revealing && !isRunning(message);
  const [opened, setOpened] = useState<number | null>(null);
  const toggle = (n: number) => {
    const citation = message.citations.find((one) => one.n === n);
    if (!citation) return;
    if (opened !== n) actions.cited(citation);
    setOpened(opened === n ? null : n);
  };
  return (
    <>
      {text ? (
        <Markdown text={text} closed={settled} citations={message.citations} opened={opened} onCite={toggle} />
      ) : (
        !settled && <Dots texts={texts} />
      )}
      {settled && <Below {...props} opened={opened} toggle={toggle} />}
    </>
  );
}

function Dots({ texts }: { readonly texts: Texts }) {
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class="bubble" part="bubble">
      <div class="dots">
        <i />
        <i />
        <i />
        {long && <span>{texts.stillThinking}</span>}
        <span class="sr">{texts.thinking}</span>
      </div>
    </div>
  );
}

interface MarkdownProps {
  readonly text: string;
  readonly closed: boolean;
  readonly citations: readonly Citation[];
  readonly opened: number | null;
  readonly onCite: (n: number) => void;
}

function Markdown({ text, closed, citations, opened, onCite }: MarkdownProps) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<MarkdownView | null>(null);
  useLayoutEffect(() => {
    if (!box.current) return;
    view.current ??= new MarkdownView(box.current);
    view.current.show(text, closed);
  }, [text, closed]);
  useLayoutEffect(() => {
    for (const button of box.current?.querySelectorAll<HTMLButtonElement>("button.cite") ?? []) {
      markCitation(button, citations, opened, closed);
    }
  }, [text, closed, citations, opened]);
  const click = (event: Event) => {
    const button = (event.target as Element).closest("button.cite");
    if (button) onCite(Number(button.getAttribute("data-n")));
  };
  return (
    <div class="bubble" part="bubble">
      {/* biome-ignore lint/a11y: the buttons inside take keys and focus, this only listens for their clicks */}
      <div class="markdown" dir="auto" ref={box} onClick={click} />
    </div>
  );
}

/** Escape closes the card at hand, wherever the focus is; true if there was one. */
export function closeCard(panel: HTMLElement, from: Element): boolean {
  const card = from.closest("article")?.querySelector(".quote") ?? [...panel.querySelectorAll(".quote")].at(-1);
  card?.querySelector<HTMLElement>(".tool")?.click();
  return card !== undefined;
}

/** A number in brackets that names no source is plain text after all. */
function markCitation(
  button: HTMLButtonElement,
  citations: readonly Citation[],
  opened: number | null,
  closed: boolean,
) {
  const n = Number(button.dataset.n);
  const citation = citations.find((one) => one.n === n);
  if (!citation) {
    if (closed) button.replaceWith(`[${n}]`);
    return;
  }
  button.title = citation.place ? `${citation.title}, ${citation.place}` : citation.title;
  button.setAttribute("aria-expanded", String(opened === n));
}

type BelowProps = MessageProps & { readonly opened: number | null; readonly toggle: (n: number) => void };

function Below(props: BelowProps) {
  const { message, texts, opened, toggle, last, actions } = props;
  const citation = message.citations.find((one) => one.n === opened);
  return (
    <div class="below">
      <Outcome {...props} />
      {message.citations.length > 0 && (
        <div class="sources" role="group" aria-label={texts.sources}>
          {message.citations.map((one) => (
            <Chip key={one.n} citation={one} texts={texts} open={one.n === opened} onClick={() => toggle(one.n)} />
          ))}
        </div>
      )}
      {citation && <Quote citation={citation} texts={texts} onClose={() => toggle(citation.n)} />}
      {message.text && message.messageId && (
        <div class="actions">
          <Copy message={message} texts={texts} />
          {last && <Tool icon="again" label={texts.regenerate} onClick={() => actions.regenerate(message)} />}
          <Rate {...props} rating="up" />
          <Rate {...props} rating="down" />
        </div>
      )}
    </div>
  );
}

function Outcome({ message, texts, actions, last }: MessageProps) {
  if (message.delivery === "broken" && message.error) {
    return (
      <div class="note bad" role="alert">
        <span>{errorText(texts, message.error.code)}</span>
        {message.error.retryable && last && (
          <TextButton label={texts.retry} onClick={() => actions.regenerate(message)} />
        )}
      </div>
    );
  }
  if (message.delivery === "interrupted") return <div class="note">{texts.errors.interrupted}</div>;
  if (message.finishReason === "cancelled") return <div class="note">{texts.stopped}</div>;
  if (message.finishReason === "length") return <div class="note">{texts.cutShort}</div>;
  return null;
}

interface ChipProps {
  readonly citation: Citation;
  readonly texts: Texts;
  readonly open: boolean;
  readonly onClick: () => void;
}

function Chip({ citation, texts, open, onClick }: ChipProps) {
  return (
    <button
      type="button"
      class="chip"
      part="citation"
      aria-expanded={open}
      aria-label={texts.source(citation.n, citation.place ? `${citation.title}, ${citation.place}` : citation.title)}
      onClick={onClick}
    >
      <b>{citation.n}</b>
      <span dir="auto">
        {citation.title}
        {citation.place && <small>{citation.place}</small>}
      </span>
    </button>
  );
}

function Quote({
  citation,
  texts,
  onClose,
}: {
  readonly citation: Citation;
  readonly texts: Texts;
  readonly onClose: () => void;
}) {
  const url = citation.url ? safeUrl(citation.url) : null;
  const box = useRef<HTMLElement>(null);
  useEffect(() => box.current?.scrollIntoView({ block: "nearest" }), []);
  const close = () => {
    box.current?.closest("article")?.querySelector<HTMLElement>(".chip[aria-expanded=true]")?.focus();
    onClose();
  };
  return (
    <section class="quote" ref={box} aria-label={texts.source(citation.n, citation.title)}>
      <header>
        <Icon name="book" size={20} />
        <div>
          <strong dir="auto">{citation.title}</strong>
          {citation.place && <small dir="auto">{citation.place}</small>}
        </div>
        <Tool icon="close" label={texts.close} onClick={close} />
      </header>
      {citation.quote && <blockquote dir="auto">{citation.quote}</blockquote>}
      {url && (
        <a href={url} target="_blank" rel="noopener noreferrer nofollow ugc">
          {texts.openSource} <Icon name="open" size={14} />
        </a>
      )}
    </section>
  );
}

function Rate({ message, texts, actions, rating }: MessageProps & { readonly rating: "up" | "down" }) {
  return (
    <Tool
      icon={rating === "up" ? "up" : "thumbDown"}
      label={rating === "up" ? texts.good : texts.bad}
      pressed={message.rating === rating}
      onClick={() => actions.rate(message, rating)}
    />
  );
}

function Copy({ message, texts }: { readonly message: ChatMessage; readonly texts: Texts }) {
  const [done, setDone] = useState(false);
  const copy = () => {
    const known = message.citations.map((one) => one.n);
    void navigator.clipboard?.writeText(withoutCitations(message.text, known)).then(
      () => {
        setDone(true);
        setTimeout(() => setDone(false), 2000);
      },
      () => undefined,
    );
  };
  return <Tool icon={done ? "check" : "copy"} label={done ? texts.copied : texts.copy} onClick={copy} />;
}

export interface ToolProps {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: () => void;
  readonly pressed?: boolean;
}

export function Tool({ icon, label, onClick, pressed }: ToolProps) {
  return (
    <button
      type="button"
      class="tool"
      aria-label={label}
      title={label}
      onClick={onClick}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
    >
      <Icon name={icon} />
    </button>
  );
}
