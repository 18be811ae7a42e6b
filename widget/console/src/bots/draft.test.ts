import { describe, expect, it } from "vitest";
import type { Bot, BotConfig } from "../resources";
import { changed, type Draft, edits, rebase, settle } from "./draft";

const CONFIG: BotConfig = {
  name: "Nova",
  persona: "Friendly.",
  greeting: "Hi!",
  starters: [],
  languages: ["en"],
  providers: [],
  model: { temperature: null, max_output_tokens: 700 },
  theme: { accent: "#5b5bd6", mode: "auto", position: "right" },
  avatar: { kind: "3d", look: "nova" },
  animations: {},
  allowed_origins: [],
  limits: { messages_per_minute: 20, max_message_chars: 4000, while_answering: "queue", monthly_budget_nanousd: null },
};

function bot(version: number, config: Partial<BotConfig> = {}): Bot {
  const moment = "2026-01-01T00:00:00Z";
  return {
    id: "bot_1",
    version,
    knowledge_epoch: 0,
    created_at: moment,
    updated_at: moment,
    config: { ...CONFIG, ...config },
  };
}

function draft(base: Bot, config: Partial<BotConfig>): Draft {
  return { base, config: { ...base.config, ...config } };
}

describe("drafts", () => {
  it("sends only what was edited", () => {
    const edited = draft(bot(1), { name: "Ava", starters: ["Hours?"] });
    expect(changed(edited)).toEqual(["name", "starters"]);
    expect(edits(edited)).toEqual({ name: "Ava", starters: ["Hours?"] });
  });

  it("is unchanged when an edit is taken back", () => {
    expect(changed(draft(bot(1), { theme: { ...CONFIG.theme } }))).toEqual([]);
  });

  it("puts the edits on top of what somebody else saved", () => {
    const theirs = bot(2, { greeting: "Hello!", name: "Zoe" });
    const rebased = rebase(draft(bot(1), { name: "Ava" }), theirs);
    expect(rebased.base.version).toBe(2);
    expect(rebased.config).toMatchObject({ name: "Ava", greeting: "Hello!" });
    expect(changed(rebased)).toEqual(["name"]);
  });

  it("is gone after a save, unless edited meanwhile", () => {
    const sent = draft(bot(1), { name: "Ava" });
    const saved = bot(2, { name: "Ava" });
    expect(settle(sent, sent, saved)).toBeNull();
    const later = { ...sent, config: { ...sent.config, greeting: "Hey!" } };
    const left = settle(later, sent, saved);
    expect(left?.base.version).toBe(2);
    expect(left && edits(left)).toEqual({ greeting: "Hey!" });
  });
});
