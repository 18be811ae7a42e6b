/** Icons as inline SVG elements: the host page's policy needs to allow nothing for them. */

const PATHS = {
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  send: "M12 19V5M5.500 11.500L12 5l6.500 6.500",
  stop: "M8 8h8v8H8z",
  restart: "M4 12a8 8 0 1 0 2.600-5.900M4 4v4.500h4.500",
  pause: "M9 6v12M15 6v12",
  play: "M8 5.500v13l10.500-6.500z",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.500l4.500 4.500L19 7.500",
  again: "M20 12a8 8 0 1 1-2.600-5.900M20 4v4.500h-4.500",
  up: "M7 11v9H4v-9zM7 11l4-7.500c1.500 0 2.300 1 2 2.500L12.400 10H18a2 2 0 0 1 2 2.400l-1.200 6A2 2 0 0 1 16.800 20H7",
  thumbDown:
    "M17 13V4h3v9zM17 13l-4 7.500c-1.500 0-2.300-1-2-2.500l.6-4H6a2 2 0 0 1-2-2.400l1.200-6A2 2 0 0 1 7.200 4H17",
  book: "M5 5.500C7.500 4 10 4 12 5.500 14 4 16.500 4 19 5.500v13c-2.500-1.500-5-1.500-7 0-2-1.500-4.500-1.500-7 0zM12 5.500v13",
  open: "M14 5h5v5M19 5l-8.500 8.500M17 14v5H5V7h5",
  arrow: "M5 12h14M13 6l6 6-6 6",
  alert: "M12 8v5M12 16.500v.010M12 3.500l9 16H3z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }) {
  return (
    <svg
      viewBox="0 0 24 24"
      width={size}
      height={size}
      fill={name === "stop" ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width="1.800"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
