import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { asciiOnly } from "./vite.ascii.ts";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as { version: string };

/** Puts every chunk into one folder named after their content, and says where it is in manifest.json. */
function contentFolder(): Plugin {
  return {
    name: "parlour-content-folder",
    enforce: "post",
    generateBundle(_options, bundle) {
      const chunks = Object.values(bundle).filter((part) => part.type === "chunk");
      const digest = createHash("sha256");
      for (const chunk of [...chunks].sort((a, b) => a.fileName.localeCompare(b.fileName))) {
        digest.update(chunk.fileName).update(chunk.code);
      }
      const hash = digest.digest("hex").slice(0, 12);
      const files = chunks.map((chunk) => `${hash}/${chunk.fileName}`).sort();
      for (const chunk of chunks) chunk.fileName = `${hash}/${chunk.fileName}`;
      const manifest = { version, hash, widget: `${hash}/widget.js`, loader: "loader.js", files };
      this.emitFile({ type: "asset", fileName: "manifest.json", source: `${JSON.stringify(manifest, null, 2)}\n` });
    },
  };
}

export default defineConfig({
  base: "./",
  publicDir: false,
  define: { __VERSION__: JSON.stringify(version) },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist/widget",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: { widget: "src/widget.tsx" },
      preserveEntrySignatures: "strict",
      output: {
        format: "es",
        entryFileNames: "[name].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
      },
    },
  },
  plugins: [asciiOnly(), contentFolder()],
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts", "src/**/*.test.tsx", "console/**/*.test.ts", "console/**/*.test.tsx"],
  },
});
