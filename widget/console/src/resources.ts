/** What the REST API speaks of, as far as the console shows it. */

export interface Session {
  readonly member: { readonly id: string; readonly email: string; readonly role: string };
  readonly tenant: { readonly id: string; readonly name: string };
  readonly csrf_token: string;
}

export const ANIMATIONS = [
  "idle",
  "talk_calm",
  "talk_explain",
  "happy",
  "thumbs_up",
  "nod",
  "thinking",
  "confused",
  "wave",
] as const;
export type Animation = (typeof ANIMATIONS)[number];

export const OCCASIONS = [
  "positive",
  "negative",
  "neutral",
  "greeting",
  "farewell",
  "explanation",
  "question",
] as const;
export type Occasion = (typeof OCCASIONS)[number];

export interface BotConfig {
  readonly name: string;
  readonly persona: string;
  readonly greeting: string;
  readonly starters: readonly string[];
  readonly languages: readonly string[];
  readonly providers: readonly string[];
  readonly model: { readonly temperature: number | null; readonly max_output_tokens: number };
  readonly theme: {
    readonly accent: string;
    readonly mode: "auto" | "light" | "dark";
    readonly position: "right" | "left";
  };
  readonly avatar: { readonly kind: "3d" | "2d" | "none"; readonly look: string };
  readonly animations: Readonly<Partial<Record<Occasion, Animation>>>;
  readonly allowed_origins: readonly string[];
  readonly limits: {
    readonly messages_per_minute: number;
    readonly max_message_chars: number;
    readonly while_answering: "queue" | "replace" | "reject";
    readonly monthly_budget_nanousd: number | null;
  };
}

export interface Bot {
  readonly id: string;
  readonly version: number;
  readonly knowledge_epoch: number;
  readonly created_at: string;
  readonly updated_at: string;
  readonly config: BotConfig;
}

export type DocumentStatus = "queued" | "parsing" | "embedding" | "ready" | "failed" | "deleting";

/** A document of a bot's knowledge; the browser owns the shorter name. */
export interface BotDocument {
  readonly id: string;
  readonly bot_id: string;
  readonly name: string;
  readonly title: string | null;
  readonly media_type: string;
  readonly size_bytes: number;
  readonly status: DocumentStatus;
  readonly progress: number;
  readonly error: string | null;
  readonly pages: number | null;
  readonly chunk_count: number;
  readonly version: number;
  readonly live_version: number;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface Conversation {
  readonly id: string;
  readonly bot_id: string;
  readonly visitor_id: string;
  readonly channel: string;
  readonly locale: string | null;
  readonly page: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface Source {
  readonly n: number;
  readonly title: string;
  readonly place?: string | null;
  readonly quote?: string | null;
}

export interface Message {
  readonly id: string;
  readonly role: "user" | "assistant" | "system";
  readonly text: string;
  readonly author: { readonly kind?: string; readonly name?: string } | null;
  readonly status: "complete" | "interrupted" | "replaced";
  readonly sentiment: "positive" | "neutral" | "negative" | null;
  readonly sentiment_score: number | null;
  readonly intent: string | null;
  readonly animation: string | null;
  readonly sources: readonly Source[] | null;
  readonly suggestions: readonly string[] | null;
  readonly finish_reason: string | null;
  readonly provider: string | null;
  readonly model: string | null;
  readonly usage: Readonly<Record<string, unknown>> | null;
  readonly cost_nanousd: number | null;
  readonly cached: boolean | null;
  readonly ttft_ms: number | null;
  readonly total_ms: number | null;
  readonly rating: string | null;
  readonly created_at: string;
}

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly last_four: string;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  readonly last_used_at: string | null;
}

export interface NewApiKey extends ApiKey {
  /** The whole key; the server never shows it again. */
  readonly key: string;
}
