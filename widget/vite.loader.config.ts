import { readFileSync } from "node:fs";
import { defineConfig } from "vite";
import { asciiOnly } from "./vite.ascii.ts";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as { version: string };

// The loader is a classic script: one file, one global, no module graph.
export default defineConfig({
  publicDir: false,
  plugins: [asciiOnly()],
  define: { __VERSION__: JSON.stringify(version) },
  build: {
    outDir: "dist/widget",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    rolldownOptions: {
      input: { loader: "src/loader.ts" },
      output: { format: "iife", name: "ParlourLoader", entryFileNames: "loader.js" },
    },
  },
});
