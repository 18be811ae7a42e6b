import type { ReactNode } from "react";

const PATHS = {
  bot: "M12 3v3M7 6h10a3 3 0 0 1 3 3v7a3 3 0 0 1-3 3H7a3 3 0 0 1-3-3V9a3 3 0 0 1 3-3ZM9 11.500v2M15 11.500v2M2 12v3M22 12v3",
  chat: "M4 12c0-4.200 3.600-7 8-7s8 2.800 8 7-3.600 7-8 7c-.9 0-1.800-.1-2.600-.4L5.500 20l.7-3.400C4.800 15.400 4 13.800 4 12Z",
  key: "M8.500 20a4.500 4.500 0 1 1 0-9 4.500 4.500 0 0 1 0 9ZM11.700 12.300 20 4M16 8l3 3",
  signOut: "M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M15 8l4 4-4 4M19 12H9",
  plus: "M12 5v14M5 12h14",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  check: "M5 12.500l4.500 4.500L19 7.500",
  trash: "M5 7h14M10 7V4h4v3M7 7l.8 13h8.400L17 7M10 11v5M14 11v5",
  refresh: "M20 11a8 8 0 0 0-14.300-4L4 9M4 4v5h5M4 13a8 8 0 0 0 14.300 4l1.700-2M20 20v-5h-5",
  upload: "M12 16V5M7.500 9.500 12 5l4.500 4.500M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3",
  file: "M14 3H7a1 1 0 0 0-1 1v16a1 1 0 0 0 1 1h10a1 1 0 0 0 1-1V7l-4-4ZM14 3v4h4",
  alert:
    "M12 8.500v4.500M12 16.500h.01M10.500 4.500 3 17.500A1.700 1.700 0 0 0 4.500 20h15a1.700 1.700 0 0 0 1.500-2.500l-7.500-13a1.700 1.700 0 0 0-3 0Z",
  back: "M19 12H5M11 6l-6 6 6 6",
  cross: "M6 6l12 12M18 6L6 18",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  globe:
    "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM3 12h18M12 3c2.500 2.700 3.700 5.700 3.700 9S14.500 18.300 12 21c-2.500-2.700-3.700-5.700-3.700-9S9.500 5.700 12 3Z",
  right: "M9 6l6 6-6 6",
  source: "M5 5a2 2 0 0 1 2-2h12v14H7a2 2 0 0 0-2 2M5 5v14a2 2 0 0 0 2 2h12v-4",
  eye: "M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12ZM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z",
} as const;

export type IconName = keyof typeof PATHS;

/** A line drawing in the colour of the text around it; it never carries meaning on its own. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }): ReactNode {
  return (
    <svg
      className="icon"
      viewBox="0 0 24 24"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth={name === "more" ? 2.8 : 1.7}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The product's mark: a speech bubble with a face. */
export function Mark({ size = 32 }: { size?: number }): ReactNode {
  return (
    <svg viewBox="0 0 32 32" width={size} height={size} aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="9" fill="var(--mantine-primary-color-filled)" />
      <path
        d="M7 15c0-4.600 4-7.700 9-7.700s9 3.100 9 7.700-4 7.700-9 7.700c-.8 0-1.600-.1-2.400-.3L9.400 25l.5-3.900C8.100 19.700 7 17.500 7 15Z"
        fill="#fff"
      />
      <path
        d="M13 13v1.800M19 13v1.800M12.500 17.500c.9 1 2.100 1.500 3.500 1.500s2.600-.5 3.500-1.500"
        fill="none"
        stroke="var(--mantine-primary-color-filled)"
        strokeWidth="1.6"
        strokeLinecap="round"
      />
    </svg>
  );
}
