import { defineConfig } from "vite";

/** Contact sheet of the avatar; not part of what is served to visitors. */
export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: { outDir: "../dist/gallery", emptyOutDir: true, target: "es2022" },
});
