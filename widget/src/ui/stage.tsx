/** Where the character stands: the drawn face at once, the 3D one when the chat is ready and the device is. */

import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { AvatarKind } from "../options";
import type { Actor, Player } from "../player";
import { Face } from "./face";

/** Makes the 3D actor in `container`, or throws. Handed in, because the interface knows nothing of 3D. */
export type MakeAvatar = (container: HTMLElement, onLost: () => void) => Promise<Actor>;

export interface StageProps {
  readonly label: string;
  readonly kind: AvatarKind;
  readonly accent: string;
  readonly reducedMotion: boolean;
  readonly paused: boolean;
  readonly player: Player;
  readonly makeAvatar: MakeAvatar;
  readonly onCast: (actor: Actor | null) => void;
}

export function Stage(props: StageProps) {
  const face = useRef<HTMLDivElement>(null);
  const solid = useRef<HTMLDivElement>(null);
  const actor = useRef<Actor | null>(null);
  const { label, kind, accent, reducedMotion, paused } = props;

  useEffect(() => play(props, face, solid, actor), [kind, accent, reducedMotion]);
  useEffect(() => followPointer(face, actor), []);
  useEffect(() => {
    if (paused) actor.current?.pause();
    else actor.current?.resume();
  }, [paused]);

  return (
    <div class="stage" part="avatar" role="img" aria-label={label}>
      <div class="face" ref={face} aria-hidden="true" />
      <div class="solid gone" ref={solid} aria-hidden="true" />
    </div>
  );
}

type Box = RefObject<HTMLDivElement | null>;

function play(props: StageProps, face: Box, solid: Box, current: { current: Actor | null }): () => void {
  const { player, onCast, makeAvatar } = props;
  if (!face.current || !solid.current) return () => undefined;
  const [flat, deep] = [face.current, solid.current];
  const drawn = new Face({ container: flat, accent: props.accent, reducedMotion: props.reducedMotion });
  let shown: Actor = drawn;
  let left = false;

  const cast = (actor: Actor) => {
    shown = actor;
    current.current = actor;
    flat.classList.toggle("gone", actor !== drawn);
    deep.classList.toggle("gone", actor === drawn);
    if (props.paused) actor.pause();
    else if (actor === drawn) drawn.resume();
    else drawn.pause();
    player.cast(actor);
    onCast(actor);
  };
  const lost = () => {
    if (left || shown === drawn) return;
    const gone = shown;
    cast(drawn);
    gone.dispose();
  };
  cast(drawn);
  const cancel =
    props.kind === "3d" ? whenIdle(() => void makeAvatar(deep, lost).then(arrive, () => undefined)) : () => undefined;
  function arrive(avatar: Actor) {
    if (left) avatar.dispose();
    else cast(avatar);
  }
  return () => {
    left = true;
    cancel();
    player.cast(null);
    onCast(null);
    current.current = null;
    drawn.dispose();
    if (shown !== drawn) shown.dispose();
  };
}

/** The character's eyes follow the pointer, anywhere on the page, at most once per frame. */
function followPointer(box: Box, actor: { readonly current: Actor | null }): () => void {
  let pending = 0;
  const moved = ({ clientX, clientY, pointerType }: PointerEvent) => {
    if (pending || pointerType === "touch") return;
    pending = requestAnimationFrame(() => {
      pending = 0;
      const { left, top, width, height } = box.current?.getBoundingClientRect() ?? new DOMRect();
      const clamp = (value: number) => Math.max(-1, Math.min(1, value));
      const x = (clientX - left - width / 2) / Math.max(1, innerWidth / 2);
      const y = (top + height / 2 - clientY) / Math.max(1, innerHeight / 2);
      actor.current?.look(clamp(x), clamp(y));
    });
  };
  addEventListener("pointermove", moved, { passive: true });
  return () => {
    removeEventListener("pointermove", moved);
    cancelAnimationFrame(pending);
  };
}

function whenIdle(work: () => void): () => void {
  if ("requestIdleCallback" in window) {
    const handle = requestIdleCallback(work, { timeout: 1500 });
    return () => cancelIdleCallback(handle);
  }
  const handle = setTimeout(work, 300);
  return () => clearTimeout(handle);
}
