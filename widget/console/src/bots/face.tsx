import type { ReactNode } from "react";
import { filled, parseHex, toHex } from "../../../src/colour";

/** The bot's colour and the text colour the widget will really use on it. */
export function accentColours(accent: string): { readonly background: string; readonly text: string } {
  const { background, text } = filled(parseHex(accent) ?? [91, 91, 214]);
  return { background: toHex(background), text: toHex(text) };
}

/** A small drawn face in the bot's colour. */
export function Face({ accent, size }: { accent: string; size: number }): ReactNode {
  const { background, text } = accentColours(accent);
  return (
    <svg viewBox="0 0 40 40" width={size} height={size} aria-hidden="true" focusable="false" className="face">
      <circle cx="20" cy="20" r="20" fill={background} />
      <g fill="none" stroke={text} strokeWidth="2.6" strokeLinecap="round">
        <path d="M14.500 15.500v3M25.500 15.500v3" />
        <path d="M13 24c1.800 2.300 4.100 3.400 7 3.400s5.200-1.100 7-3.400" />
      </g>
    </svg>
  );
}
