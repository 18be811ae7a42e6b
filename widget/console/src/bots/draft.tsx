/** Edits that are not saved yet. They live above the screens, so walking away from a bot loses nothing. */

import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import type { Bot, BotConfig } from "../resources";

/** A bot's configuration under edit, and the saved bot it started from. */
export interface Draft {
  readonly base: Bot;
  readonly config: BotConfig;
}

export type Section = keyof BotConfig;

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The sections that differ from what was saved. */
export function changed(draft: Draft): Section[] {
  return (Object.keys(draft.config) as Section[]).filter((key) => !same(draft.config[key], draft.base.config[key]));
}

/** The part of the configuration that was edited: what a PATCH has to carry. */
export function edits(draft: Draft): Partial<BotConfig> {
  return Object.fromEntries(changed(draft).map((key) => [key, draft.config[key]])) as Partial<BotConfig>;
}

/** The same edits on top of a newer saved bot. */
export function rebase(draft: Draft, onto: Bot): Draft {
  return { base: onto, config: { ...onto.config, ...edits(draft) } };
}

/** What is left to save after `sent` was saved as `saved`: only edits made while it was under way. */
export function settle(draft: Draft, sent: Draft, saved: Bot): Draft | null {
  const later = (Object.keys(draft.config) as Section[]).filter((key) => !same(draft.config[key], sent.config[key]));
  if (later.length === 0) return null;
  const kept = Object.fromEntries(later.map((key) => [key, draft.config[key]])) as Partial<BotConfig>;
  return { base: saved, config: { ...saved.config, ...kept } };
}

type Drafts = ReadonlyMap<string, Draft>;

interface DraftsValue {
  readonly drafts: Drafts;
  /** Stores what `next` makes of the present draft; null or an unchanged one is dropped. */
  readonly update: (botId: string, next: (present: Draft | undefined) => Draft | null) => void;
  readonly clear: () => void;
}

const DraftsContext = createContext<DraftsValue | null>(null);

export function DraftsProvider({ children }: { children: ReactNode }): ReactNode {
  const [drafts, setDrafts] = useState<Drafts>(new Map());
  const update = useCallback<DraftsValue["update"]>((botId, next) => {
    setDrafts((present) => {
      const draft = next(present.get(botId));
      const result = new Map(present);
      if (draft && changed(draft).length > 0) result.set(botId, draft);
      else result.delete(botId);
      return result;
    });
  }, []);
  const clear = useCallback(() => setDrafts(new Map()), []);
  useWarnOnLeave(drafts.size > 0);
  const value = useMemo(() => ({ drafts, update, clear }), [drafts, update, clear]);
  return <DraftsContext value={value}>{children}</DraftsContext>;
}

function useWarnOnLeave(unsaved: boolean): void {
  useEffect(() => {
    if (!unsaved) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [unsaved]);
}

export function useDrafts(): DraftsValue {
  const value = useContext(DraftsContext);
  if (!value) throw new Error("useDrafts needs a DraftsProvider above it");
  return value;
}
