/** The whole chat: stage, transcript, composer. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Conversation } from "../conversation";
import type { AvatarKind, Mode } from "../options";
import type { Actor } from "../player";
import type { Status } from "../session";
import { errorText, type Texts } from "../texts";
import { Announcer } from "./announcer";
import { Composer } from "./composer";
import { closeCard, Tool } from "./message";
import { type MakeAvatar, Stage } from "./stage";
import { Transcript } from "./transcript";

const BANNER_AFTER_MS = 3_000;
const DEFAULT_MAX_CHARS = 4_000;

/** What the panel shows besides the conversation; all of it may change while it is open. */
export interface View {
  readonly open: Signal<boolean>;
  readonly draft: Signal<string>;
  readonly texts: ReadonlySignal<Texts>;
  readonly language: ReadonlySignal<string>;
  readonly dark: ReadonlySignal<boolean>;
  readonly accent: ReadonlySignal<string>;
  readonly reducedMotion: ReadonlySignal<boolean>;
  readonly paused: Signal<boolean>;
  /** Small screens show the panel over everything. */
  readonly covering: ReadonlySignal<boolean>;
}

export interface PanelProps {
  readonly mode: Mode;
  readonly position: "left" | "right";
  readonly name: string;
  readonly greeting: string;
  readonly starters: readonly string[];
  readonly avatar: AvatarKind;
  readonly disclosure: boolean;
  readonly view: View;
  readonly conversation: Conversation;
  readonly makeAvatar: MakeAvatar;
  readonly onCast: (actor: Actor | null) => void;
  readonly onClose: () => void;
  readonly onEngage: () => void;
  readonly onCited: (handle: string) => void;
}

export function Panel(props: PanelProps) {
  const { view, mode, position, name, conversation } = props;
  const texts = view.texts.value;
  const open = view.open.value;
  const box = useRef<HTMLElement>(null);
  const input = useRef<HTMLTextAreaElement>(null);
  useEffect(() => present(box.current, input.current, open, mode), [open]);
  return (
    <div
      class="parlour"
      data-theme={view.dark.value ? "dark" : "light"}
      data-mode={mode}
      data-position={position}
      dir={texts.dir}
      lang={view.language.value}
    >
      <section
        ref={box}
        class="panel"
        part="panel"
        role={mode === "bubble" ? "dialog" : "region"}
        aria-label={texts.dialog(name)}
        {...(mode === "bubble" ? { popover: "manual", "aria-modal": view.covering.value } : {})}
        data-open={open ? "" : undefined}
        onKeyDownCapture={leaveCard}
        onKeyDown={(event) => keys(event, props)}
        onFocusIn={props.onEngage}
        onPointerDown={props.onEngage}
      >
        {open && <Content {...props} texts={texts} input={input} conversation={conversation} />}
      </section>
    </div>
  );
}

// The top layer puts the open panel above whatever the page has, and a page's modal dialog still makes it inert.
function present(box: HTMLElement | null, input: HTMLTextAreaElement | null, open: boolean, mode: Mode): void {
  if (!box || mode !== "bubble") return;
  const top = typeof box.showPopover === "function";
  if (top && open !== box.matches(":popover-open")) open ? box.showPopover() : box.hidePopover();
  if (!open) return;
  // Under a finger, focus in the composer would bring up the keyboard over half of the greeting.
  const start = underFinger() ? box.querySelector<HTMLElement>(".transcript") : input;
  start?.focus({ preventScroll: true });
}

const underFinger = () => matchMedia("(pointer: coarse)").matches;

/** Before anything else that knows the key. */
function leaveCard(event: KeyboardEvent): void {
  if (event.key !== "Escape" || event.isComposing) return;
  if (closeCard(event.currentTarget as HTMLElement, event.target as Element)) {
    event.preventDefault();
    event.stopPropagation();
  }
}

function keys(event: KeyboardEvent, { view, mode, onClose }: PanelProps): void {
  if (mode !== "bubble" || event.defaultPrevented) return;
  if (event.key === "Escape") {
    event.stopPropagation();
    onClose();
  } else if (event.key === "Tab" && view.covering.value) keepInside(event);
}

/** On a small screen the chat is modal: Tab goes round within it. */
function keepInside(event: KeyboardEvent): void {
  const box = event.currentTarget as HTMLElement;
  const stops = [
    ...box.querySelectorAll<HTMLElement>("button:not(:disabled),textarea:not(:disabled),a[href],[tabindex='0']"),
  ];
  const [first, last] = [stops[0], stops.at(-1)];
  const now = (box.getRootNode() as ShadowRoot).activeElement;
  if (event.shiftKey ? now !== first : now !== last) return;
  event.preventDefault();
  (event.shiftKey ? last : first)?.focus();
}

type ContentProps = PanelProps & {
  readonly texts: Texts;
  readonly input: { current: HTMLTextAreaElement | null };
};

function Content(props: ContentProps) {
  const { conversation, view, texts, input } = props;
  const transcript = useRef<HTMLDivElement>(null);
  const actor = useRef<Actor | null>(null);
  const actions = useMemo(() => actionsOf(props), []);
  const send = (text: string) => {
    conversation.send(text);
    actor.current?.listen(false);
  };
  const { limits } = conversation.state.value;
  return (
    <>
      <Header
        {...props}
        onCast={(cast) => {
          actor.current = cast;
          props.onCast(cast);
        }}
      />
      <Transcript
        state={conversation.state}
        shown={conversation.player.shown}
        botName={props.name}
        greeting={props.greeting}
        starters={props.starters}
        held={isOff(conversation.status.value)}
        texts={texts}
        actions={actions}
        box={transcript}
        onOffer={(text) => {
          send(text);
          if (!underFinger()) input.current?.focus({ preventScroll: true });
        }}
        onOlder={() => conversation.loadOlder()}
        onComposer={() => input.current?.focus()}
      />
      <Banner conversation={conversation} texts={texts} />
      <Composer
        texts={texts}
        draft={view.draft.value}
        maxChars={limits?.maxMessageChars ?? DEFAULT_MAX_CHARS}
        answering={conversation.answering.value}
        disabled={false}
        disclosure={props.disclosure}
        input={input}
        onDraft={(text) => {
          view.draft.value = text;
          conversation.type(text !== "");
          actor.current?.listen(text !== "");
        }}
        onSend={() => {
          send(view.draft.value);
          view.draft.value = "";
        }}
        onStop={() => conversation.stop()}
        onScroll={(pages) => transcript.current?.scrollBy({ top: pages * transcript.current.clientHeight * 0.9 })}
        onLeave={() => {
          conversation.type(false);
          actor.current?.listen(false);
        }}
      />
      <Announcer state={conversation.state} />
    </>
  );
}

function actionsOf({ conversation, onCited }: PanelProps) {
  return {
    retry: conversation.retry.bind(conversation),
    discard: conversation.discard.bind(conversation),
    regenerate: conversation.regenerate.bind(conversation),
    rate: conversation.rate.bind(conversation),
    cited: ({ handle }: { handle: string }) => onCited(handle),
  };
}

function Header(props: ContentProps) {
  const { texts, view, conversation, name, avatar, mode } = props;
  const off = isOff(conversation.status.value);
  const moving = avatar !== "none" && !view.reducedMotion.value;
  const paused = view.paused.value;
  return (
    <header class="header" part="header">
      <div class="bar">
        <div class="who">
          <h2 class="name">{name}</h2>
          <span class="ai" data-state={off ? "off" : "on"}>
            {texts.ai}
          </span>
        </div>
        {moving && (
          <Tool
            icon={paused ? "play" : "pause"}
            label={paused ? texts.playAvatar : texts.pauseAvatar}
            onClick={() => {
              view.paused.value = !paused;
            }}
          />
        )}
        <Tool icon="restart" label={texts.newConversation} onClick={() => conversation.newConversation()} />
        {mode === "bubble" && <Tool icon="close" label={texts.close} onClick={props.onClose} />}
      </div>
      {avatar !== "none" && (
        <Stage
          label={texts.avatar(name)}
          kind={avatar}
          accent={view.accent.value}
          reducedMotion={view.reducedMotion.value}
          paused={paused}
          player={conversation.player}
          makeAvatar={props.makeAvatar}
          onCast={props.onCast}
        />
      )}
    </header>
  );
}

/** Nothing for a short interruption, a line after three seconds or without a network, an error that stays when it is over. */
function Banner({ conversation, texts }: { readonly conversation: Conversation; readonly texts: Texts }) {
  const status = conversation.status.value;
  const { notice } = conversation.state.value;
  const late = useMemo(() => signal(false), []);
  const broken = isBroken(status);
  useEffect(() => {
    late.value = false;
    const timer = broken ? setTimeout(() => (late.value = true), BANNER_AFTER_MS) : undefined;
    return () => clearTimeout(timer);
  }, [broken]);
  if (status.state === "stopped") {
    return (
      <div class="banner bad" role="alert">
        <span>{status.code ? errorText(texts, status.code) : texts.ended}</span>
        <button type="button" class="link" onClick={() => conversation.reconnect()}>
          {texts.reconnectNow}
        </button>
      </div>
    );
  }
  if (status.offline || (broken && late.value)) {
    return (
      <div class="banner" role="status">
        <span>{status.offline ? texts.noNetwork : status.attempt > 0 ? texts.offline : texts.connecting}</span>
      </div>
    );
  }
  if (!notice) return null;
  return (
    <div class="banner bad" role="alert">
      <span>{errorText(texts, notice.code)}</span>
    </div>
  );
}

const isOff = ({ state, offline }: Status) => offline || state === "waiting" || state === "stopped";
const isBroken = ({ state }: Status) => state === "connecting" || state === "waiting" || state === "suspended";
