import type { Plugin } from "vite";

/** Escapes every non-ASCII character: a host page without a charset would read our text as another encoding. */
export function asciiOnly(): Plugin {
  return {
    name: "parlour-ascii-only",
    enforce: "post",
    generateBundle(_options, bundle) {
      for (const part of Object.values(bundle)) if (part.type === "chunk") part.code = toAscii(part.code);
    },
  };
}

function toAscii(code: string): string {
  return code.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
