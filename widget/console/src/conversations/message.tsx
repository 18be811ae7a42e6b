import { Badge, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { clock, count, duration, money, words } from "../format";
import { Icon } from "../icons";
import type { Message, Source } from "../resources";

const MOODS = { positive: "teal", neutral: "gray", negative: "red" } as const;

export function MessageItem({ message }: { message: Message }): ReactNode {
  const { role, text, created_at, status } = message;
  return (
    <li className="message" data-role={role} data-status={status}>
      <div className="message-who">
        <b>{message.author?.name ?? (role === "user" ? "Visitor" : role === "assistant" ? "Bot" : "System")}</b>
        <time dateTime={created_at}>{clock(created_at)}</time>
        {message.sentiment && (
          <Badge size="sm" variant="light" color={MOODS[message.sentiment]} tt="none">
            {words(message.sentiment)}
            {message.sentiment_score !== null && ` ${message.sentiment_score.toFixed(2)}`}
          </Badge>
        )}
        {message.intent && <Tag name="intent" value={message.intent} />}
        {message.animation && <Tag name="avatar" value={message.animation} />}
        {status !== "complete" && (
          <Badge size="sm" variant="light" color="orange" tt="none">
            {words(status)}
          </Badge>
        )}
        {message.rating && <Tag name="rated" value={message.rating} />}
      </div>
      <div className="message-text" dir="auto">
        {text}
      </div>
      {message.sources && message.sources.length > 0 && <Sources sources={message.sources} />}
      {message.suggestions && message.suggestions.length > 0 && (
        <div className="message-suggestions">
          {message.suggestions.map((suggestion) => (
            <span key={suggestion}>{suggestion}</span>
          ))}
        </div>
      )}
      {role === "assistant" && <Figures message={message} />}
    </li>
  );
}

function Tag({ name, value }: { name: string; value: string }): ReactNode {
  return (
    <Badge size="sm" variant="default" tt="none" fw={500}>
      {name}: {words(value).toLowerCase()}
    </Badge>
  );
}

function Sources({ sources }: { sources: readonly Source[] }): ReactNode {
  return (
    <details className="sources">
      <summary>
        <Icon name="source" size={14} /> {count(sources.length, "source")}
      </summary>
      <ol>
        {sources.map((source) => (
          <li key={source.n}>
            <Text size="sm" fw={500}>
              [{source.n}] {source.title}
              {source.place && (
                <Text span size="sm" c="dimmed" fw={400}>
                  , {source.place}
                </Text>
              )}
            </Text>
            {source.quote && (
              <Text size="sm" c="dimmed" component="blockquote">
                {source.quote}
              </Text>
            )}
          </li>
        ))}
      </ol>
    </details>
  );
}

/** How the answer came about: only what the server measured is shown. */
function Figures({ message }: { message: Message }): ReactNode {
  const { provider, model, ttft_ms, total_ms, cost_nanousd, cached, usage, finish_reason } = message;
  const tokens = outputTokens(usage);
  const made = [provider, model].filter((part, index, both) => part && both.indexOf(part) === index).join(" / ");
  const figures: readonly [string, string | null][] = [
    ["by", made || null],
    ["first token", ttft_ms === null ? null : duration(ttft_ms)],
    ["total", total_ms === null ? null : duration(total_ms)],
    ["tokens", tokens ? tokens.toLocaleString("en-US") : null],
    ["cost", cost_nanousd === null ? null : money(cost_nanousd)],
    ["cache", cached ? "hit" : null],
    ["ended", finish_reason && finish_reason !== "stop" ? words(finish_reason).toLowerCase() : null],
  ];
  return (
    <dl className="figures">
      {figures.map(
        ([name, value]) =>
          value !== null && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

function outputTokens(usage: Message["usage"]): number | null {
  const found = usage?.output_tokens ?? usage?.outputTokens ?? usage?.output;
  return typeof found === "number" ? found : null;
}
