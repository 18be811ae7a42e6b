import { createTheme, Menu, Modal, Tooltip } from "@mantine/core";

/** How the console looks; the rest is in style.css. */
export const theme = createTheme({
  primaryColor: "iris",
  primaryShade: { light: 6, dark: 6 },
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  headings: { fontWeight: "650" },
  colors: {
    iris: [
      "#f2f2fe",
      "#e4e4fc",
      "#cdcdf8",
      "#b0b0f2",
      "#9494ea",
      "#7878e0",
      "#5b5bd6",
      "#4c4bc0",
      "#3f3fa3",
      "#333384",
    ],
    dark: [
      "#ececf1",
      "#c5c6d1",
      "#a0a2b1",
      "#6f7182",
      "#3d3f4d",
      "#2e303b",
      "#1f2129",
      "#15161b",
      "#101116",
      "#0b0c10",
    ],
  },
  components: {
    Modal: Modal.extend({ defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45, blur: 3 } } }),
    Menu: Menu.extend({ defaultProps: { shadow: "md", position: "bottom-end" } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 300, events: { hover: true, focus: true, touch: false } } }),
  },
});
