import type { ReactNode } from "react";
import { type HairStyle, resolveLook } from "../../../src/avatar/looks";

/** Hair behind the head and over the brow, per style, on a 64 by 64 stage. */
const HAIR: Readonly<Record<HairStyle, { readonly back: string; readonly front: string }>> = {
  bob: {
    back: "M15 29C15 16 22 9 32 9s17 7 17 20v11c0 3-3 4-5 4H20c-2 0-5-1-5-4Z",
    front: "M18 30c0-10 6-15 14-15s14 5 14 15c-6-1-9-4-11-8-3 5-9 8-17 8Z",
  },
  short: {
    back: "M17 29c0-13 6-19 15-19s15 6 15 19v3H17Z",
    front: "M18 27c0-9 5-14 14-14s14 5 14 14c-3-1-5-3-6-6-6 3-14 3-18 2-1 2-2 3-4 4Z",
  },
  long: {
    back: "M13 30C13 15 21 9 32 9s19 6 19 21v24H13Z",
    front: "M18 30c0-10 6-15 14-15s14 5 14 15c-7-2-11-5-14-11-3 6-7 9-14 11Z",
  },
  bun: {
    back: "M32 2a7 7 0 0 1 0 14 7 7 0 0 1 0-14ZM17 29c0-12 6-18 15-18s15 6 15 18v4H17Z",
    front: "M18 27c0-9 5-14 14-14s14 5 14 14c-5-5-9-7-14-7s-9 2-14 7Z",
  },
  curly: {
    back: "M14 33a7 7 0 0 1 1-12 8 8 0 0 1 9-9 9 9 0 0 1 16 0 8 8 0 0 1 9 9 7 7 0 0 1 1 12v6H14Z",
    front: "M18 27a6 6 0 0 1 5-9 7 7 0 0 1 9-3 7 7 0 0 1 9 3 6 6 0 0 1 5 9c-5-4-9-6-14-6s-9 2-14 6Z",
  },
};

/** The avatar of this preset, drawn small and flat. */
export function Portrait({ look, accent, size }: { look: string; accent: string; size: number }): ReactNode {
  const { skin, hair, eyes, lips, cloth, hairStyle, accessory } = resolveLook(look, accent);
  const { back, front } = HAIR[hairStyle];
  return (
    <svg viewBox="0 0 64 64" width={size} height={size} aria-hidden="true" focusable="false" className="portrait">
      <path d={back} fill={hair} />
      <path d="M10 64c1-11 9-15 22-15s21 4 22 15Z" fill={cloth} />
      <path d="M26 42h12v8c0 3-3 5-6 5s-6-2-6-5Z" fill={skin} />
      <path d="M18 29c0-10 6-15 14-15s14 5 14 15c0 11-7 17-14 17s-14-6-14-17Z" fill={skin} />
      <path d={front} fill={hair} />
      <g fill={eyes}>
        <circle cx="26" cy="32" r="2.1" />
        <circle cx="38" cy="32" r="2.1" />
      </g>
      <path
        d="M27.500 39c2.500 2.300 6.500 2.300 9 0"
        fill="none"
        stroke={lips}
        strokeWidth="1.900"
        strokeLinecap="round"
      />
      {accessory === "glasses" && (
        <path
          d="M21.500 32a4.500 4.500 0 1 0 9 0 4.500 4.500 0 1 0-9 0ZM33.500 32a4.500 4.500 0 1 0 9 0 4.500 4.500 0 1 0-9 0ZM30.500 32h3"
          fill="none"
          stroke="#2b2d38"
          strokeWidth="1.400"
        />
      )}
      {accessory === "headset" && (
        <path
          d="M16.500 30C16.500 18 23 11 32 11s15.500 7 15.500 19M16 29v8M48 29v8M48 38c0 5-5 7-10 7"
          fill="none"
          stroke="#2b2d38"
          strokeWidth="2.200"
          strokeLinecap="round"
        />
      )}
    </svg>
  );
}
