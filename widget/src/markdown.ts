/**
 * Markdown as it streams in, drawn without innerHTML.
 *
 * `parse` is pure: text to blocks. `MarkdownView` keeps the blocks that nothing can change any more and brings only the
 * last one up to date, so the cost of a token does not grow with the answer and a reader's selection survives.
 * Raw HTML is text, images are links, links are https, mailto or tel.
 */

export type Inline =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "strong" | "em" | "del"; readonly children: readonly Inline[] }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "link"; readonly url: string; readonly children: readonly Inline[] }
  | { readonly kind: "cite"; readonly n: number }
  | { readonly kind: "break" };

export interface ListItem {
  readonly checked: boolean | null;
  readonly blocks: readonly Block[];
}

type BlockBody =
  | { readonly kind: "paragraph"; readonly children: readonly Inline[] }
  | { readonly kind: "heading"; readonly level: number; readonly children: readonly Inline[] }
  | { readonly kind: "code"; readonly language: string; readonly text: string }
  | { readonly kind: "quote"; readonly blocks: readonly Block[] }
  | { readonly kind: "list"; readonly ordered: boolean; readonly start: number; readonly items: readonly ListItem[] }
  | {
      readonly kind: "table";
      readonly align: readonly Align[];
      readonly rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { readonly kind: "rule" };

/** A block and where its source begins, counted from the start of what was parsed. */
export type Block = BlockBody & { readonly from: number };
type Align = "" | "left" | "center" | "right";

interface Line {
  readonly text: string;
  readonly start: number;
}

// None of these may take more than one way through a line: a hostile one has thousands of the same character.
const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))(?=[^`]*$)\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const BULLET = /^( {0,3})([-*+])(\s+|$)/;
const NUMBERED = /^( {0,3})(\d{1,9})[.)](\s+|$)/;
const TASK = /^\[([ xX])\]\s+/;
const TABLE_RULE = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*(\|\s*)?$/;
const MOST_NESTED = 8;
/** How far an opening mark or bracket looks for its end. */
const LOOK_AHEAD = 2_000;

/** Blocks of `source`; `open` = more text may follow, so what is not closed yet is drawn as if it were. */
export function parse(source: string, open = false): Block[] {
  return blocks(split(source), open, 0);
}

function split(source: string): Line[] {
  const lines: Line[] = [];
  let start = 0;
  for (const found of source.matchAll(/\r\n|\n|\r/g)) {
    lines.push({ text: source.slice(start, found.index), start });
    start = found.index + found[0].length;
  }
  if (start < source.length) lines.push({ text: source.slice(start), start });
  return lines;
}

function blocks(lines: readonly Line[], open: boolean, depth: number): Block[] {
  const found: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] as Line;
    if (isBlank(line.text)) {
      at += 1;
      continue;
    }
    const [body, next] = block(lines, at, open, depth);
    // A fence that was cut off before its first line would be an empty box.
    if (body.kind !== "code" || body.text.trim()) found.push({ ...body, from: line.start });
    at = next;
  }
  return found;
}

function block(lines: readonly Line[], at: number, open: boolean, depth: number): [BlockBody, number] {
  const { text } = lines[at] as Line;
  const fence = FENCE.exec(text);
  if (fence) return codeBlock(lines, at, fence);
  const heading = HEADING.exec(text);
  if (heading) {
    const last = open && at === lines.length - 1;
    return [
      { kind: "heading", level: (heading[1] ?? "#").length, children: inline(headingText(heading[2] ?? ""), last) },
      at + 1,
    ];
  }
  if (RULE.test(text)) return [{ kind: "rule" }, at + 1];
  if (depth < MOST_NESTED) {
    if (QUOTE.test(text)) return quoteBlock(lines, at, open, depth);
    if (marker(text)) return listBlock(lines, at, open, depth);
  }
  if (isTable(lines, at)) return tableBlock(lines, at, open);
  return paragraph(lines, at, open);
}

/** Without the closing marks, which a space sets off: "C#" keeps its own. */
const headingText = (text: string) =>
  text
    .trimEnd()
    .replace(/(?<=\s|^)#+$/, "")
    .trimEnd();

const isBlank = (text: string) => text.trim() === "";
const indentOf = (text: string) => text.length - text.trimStart().length;

function codeBlock(lines: readonly Line[], at: number, fence: RegExpExecArray): [BlockBody, number] {
  const mark = fence[1] ?? "```";
  const closing = new RegExp(`^ {0,3}${mark.charAt(0)}{${mark.length},}\\s*$`);
  const text: string[] = [];
  let next = at + 1;
  while (next < lines.length && !closing.test((lines[next] as Line).text)) text.push((lines[next++] as Line).text);
  return [{ kind: "code", language: fence[2] ?? "", text: text.join("\n") }, next + 1];
}

function quoteBlock(lines: readonly Line[], at: number, open: boolean, depth: number): [BlockBody, number] {
  const inner: Line[] = [];
  let next = at;
  while (next < lines.length && QUOTE.test((lines[next] as Line).text))
    inner.push(without(lines[next++] as Line, QUOTE));
  return [{ kind: "quote", blocks: blocks(inner, open && next === lines.length, depth + 1) }, next];
}

function without(line: Line, prefix: RegExp): Line {
  const length = prefix.exec(line.text)?.[0].length ?? 0;
  return { text: line.text.slice(length), start: line.start + length };
}

interface Marker {
  readonly ordered: boolean;
  readonly number: number;
  /** Columns before the item's text. */
  readonly width: number;
}

function marker(text: string): Marker | null {
  const bullet = BULLET.exec(text);
  const numbered = bullet ? null : NUMBERED.exec(text);
  const found = bullet ?? numbered;
  if (!found) return null;
  const gap = Math.min((found[3] ?? " ").length || 1, 4);
  const width = found[0].length - (found[3] ?? "").length + gap;
  return { ordered: numbered !== null, number: numbered ? Number(found[2]) : 1, width };
}

function listBlock(lines: readonly Line[], at: number, open: boolean, depth: number): [BlockBody, number] {
  const first = marker((lines[at] as Line).text) as Marker;
  const items: ListItem[] = [];
  let next = at;
  for (;;) {
    const found = next < lines.length ? marker((lines[next] as Line).text) : null;
    if (!found || found.ordered !== first.ordered || RULE.test((lines[next] as Line).text)) break;
    const [item, after] = listItem(lines, next, found, open, depth);
    items.push(item);
    next = skipBlankBefore(lines, after, (text) => marker(text)?.ordered === first.ordered && !RULE.test(text));
  }
  return [{ kind: "list", ordered: first.ordered, start: first.number, items }, next];
}

/** The index after blank lines if what follows them belongs to us, else `at`. */
function skipBlankBefore(lines: readonly Line[], at: number, belongs: (text: string) => boolean): number {
  let next = at;
  while (next < lines.length && isBlank((lines[next] as Line).text)) next += 1;
  return next < lines.length && belongs((lines[next] as Line).text) ? next : at;
}

function listItem(lines: readonly Line[], at: number, found: Marker, open: boolean, depth: number): [ListItem, number] {
  const head = lines[at] as Line;
  const inner: Line[] = [{ text: head.text.slice(found.width), start: head.start + found.width }];
  let next = at + 1;
  while (next < lines.length) {
    const { text } = lines[next] as Line;
    if (isBlank(text)) {
      const after = skipBlankBefore(lines, next, (following) => indentOf(following) >= Math.min(found.width, 2));
      if (after === next) break;
      while (next < after) inner.push({ ...(lines[next++] as Line), text: "" });
      continue;
    }
    const indent = indentOf(text);
    if (indent < 2 && (marker(text) || startsBlock(text))) break;
    inner.push(cut(lines[next++] as Line, Math.min(indent, found.width)));
  }
  const task = TASK.exec(inner[0]?.text ?? "");
  if (task && inner[0]) inner[0] = without(inner[0], TASK);
  const checked = task ? task[1] !== " " : null;
  return [{ checked, blocks: blocks(inner, open && next === lines.length, depth + 1) }, next];
}

const cut = (line: Line, count: number): Line => ({ text: line.text.slice(count), start: line.start + count });

function startsBlock(text: string): boolean {
  return FENCE.test(text) || HEADING.test(text) || RULE.test(text) || QUOTE.test(text);
}

function isTable(lines: readonly Line[], at: number): boolean {
  const head = lines[at]?.text ?? "";
  const rule = lines[at + 1]?.text ?? "";
  return (
    head.includes("|") &&
    rule.includes("-") &&
    TABLE_RULE.test(rule) &&
    (rule.includes("|") || cells(head).length === 1)
  );
}

function tableBlock(lines: readonly Line[], at: number, open: boolean): [BlockBody, number] {
  const align = cells((lines[at + 1] as Line).text).map(alignment);
  const rows = [cells((lines[at] as Line).text)];
  let next = at + 2;
  while (next < lines.length && (lines[next] as Line).text.includes("|"))
    rows.push(cells((lines[next++] as Line).text));
  const last = open && next === lines.length ? rows.length - 1 : -1;
  const width = rows[0]?.length ?? 0;
  const drawn = rows.map((row, i) => Array.from({ length: width }, (_, j) => inline(row[j] ?? "", i === last)));
  return [{ kind: "table", align, rows: drawn }, next];
}

function cells(text: string): string[] {
  const trimmed = text
    .trim()
    .replace(/^\|/, "")
    .replace(/(^|[^\\])\|$/, "$1");
  return trimmed.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function alignment(cell: string): Align {
  const left = cell.startsWith(":");
  const right = cell.endsWith(":");
  return left && right ? "center" : right ? "right" : left ? "left" : "";
}

function paragraph(lines: readonly Line[], at: number, open: boolean): [BlockBody, number] {
  const text = [(lines[at] as Line).text];
  let next = at + 1;
  for (; next < lines.length; next++) {
    const line = (lines[next] as Line).text;
    if (isBlank(line) || startsBlock(line) || marker(line) || isTable(lines, next)) break;
    text.push(line);
  }
  const source = text.map((line) => line.trimStart()).join("\n");
  return [{ kind: "paragraph", children: inline(source.trimEnd(), open && next === lines.length) }, next];
}

// Inline --------------------------------------------------------------------------------------------------------------
const ESCAPABLE = /[\\`*_{}[\]()#+\-.!|~<>"'&,:;=?@^$%/]/;
const BARE_URL = /^https:\/\/[^\s<>"'`\]]+/;
const AUTOLINK = /^<((?:https:\/\/|mailto:|tel:)[^\s<>]+)>/;
const CITE = /^\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?:(?![(:[])|(?=\[\d))/;
const EMPHASIS: readonly (readonly [string, "strong" | "em" | "del"])[] = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "del"],
  ["*", "em"],
  ["_", "em"],
];

/** Inline parts of `text`; with `open`, an unclosed mark runs to the end and a half-written one is held back. */
export function inline(text: string, open = false, depth = 0): Inline[] {
  const parts: Inline[] = [];
  let plain = "";
  const flush = () => {
    if (plain) parts.push({ kind: "text", text: plain });
    plain = "";
  };
  let at = 0;
  while (at < text.length) {
    const found = depth > MOST_NESTED ? null : special(text, at, open, depth);
    if (found) {
      flush();
      parts.push(...found.parts);
      at = found.next;
    } else if (text[at] === "\\" && ESCAPABLE.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  flush();
  return parts;
}

interface Found {
  readonly parts: readonly Inline[];
  readonly next: number;
}

function special(text: string, at: number, open: boolean, depth: number): Found | null {
  const rest = text.slice(at);
  switch (text[at]) {
    case "\n":
      return { parts: [{ kind: "break" }], next: at + 1 };
    case "`":
      return codeSpan(rest, at, open);
    case "!":
      return rest[1] === "[" ? link(rest.slice(1), at + 1, open, depth) : null;
    case "[":
      return cite(rest, at) ?? link(rest, at, open, depth);
    case "<":
      return autolink(rest, at);
    case "h":
      return /\w/.test(text[at - 1] ?? "") ? null : bareUrl(rest, at);
    case "*":
    case "_":
    case "~":
      return emphasis(text, at, open, depth);
    default:
      return null;
  }
}

function codeSpan(rest: string, at: number, open: boolean): Found | null {
  const mark = /^`+/.exec(rest)?.[0] ?? "`";
  const close = closingTicks(rest, mark);
  if (close < 0 && !open) return { parts: [{ kind: "text", text: mark }], next: at + mark.length };
  const inside = rest.slice(mark.length, close < 0 ? undefined : close);
  const text = inside.startsWith(" ") && inside.endsWith(" ") && inside.trim() ? inside.slice(1, -1) : inside;
  const next = close < 0 ? rest.length : close + mark.length;
  return { parts: text ? [{ kind: "code", text: text.replaceAll("\n", " ") }] : [], next: at + next };
}

function closingTicks(rest: string, mark: string): number {
  for (let from = mark.length; ; ) {
    const close = rest.indexOf(mark, from);
    if (close < 0) return -1;
    const run = /^`+/.exec(rest.slice(close))?.[0].length ?? 1;
    if (run === mark.length) return close;
    from = close + run;
  }
}

function cite(rest: string, at: number): Found | null {
  const found = CITE.exec(rest);
  if (!found) return null;
  const numbers = (found[1] ?? "").split(",").map(Number);
  return { parts: numbers.map((n) => ({ kind: "cite", n })), next: at + found[0].length };
}

function link(rest: string, at: number, open: boolean, depth: number): Found | null {
  const close = closingBracket(rest);
  if (close < 0) return null;
  const label = rest.slice(1, close);
  if (rest[close + 1] !== "(") return null;
  const target = /^\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/.exec(
    rest.slice(close + 1),
  );
  if (!target)
    return open && !rest.slice(close).includes(")")
      ? { parts: inline(label, true, depth + 1), next: at + rest.length }
      : null;
  const children = inline(label, false, depth + 1);
  const url = safeUrl(target[1] ?? "");
  const host = url && foreignHost(url);
  const shown = host ? [...children, { kind: "text", text: ` (${host[1]})` } as const] : children;
  const parts: Inline[] = url ? [{ kind: "link", url, children: shown.map(unlinked) }] : children;
  return { parts, next: at + close + 1 + target[0].length };
}

/** A link holds no link and no citation. */
function unlinked(part: Inline): Inline {
  if (part.kind === "cite") return { kind: "text", text: `[${part.n}]` };
  if (part.kind === "link") return { kind: "em", children: part.children };
  return part;
}

function closingBracket(rest: string): number {
  let depth = 0;
  for (let i = 0; i < rest.length && i < LOOK_AHEAD; i++) {
    if (rest[i] === "\\") i += 1;
    else if (rest[i] === "[") depth += 1;
    else if (rest[i] === "]" && --depth === 0) return i;
  }
  return -1;
}

function autolink(rest: string, at: number): Found | null {
  const found = AUTOLINK.exec(rest);
  const url = found ? safeUrl(found[1] ?? "") : null;
  if (!found || !url) return null;
  return { parts: [bareLink(url)], next: at + found[0].length };
}

function bareUrl(rest: string, at: number): Found | null {
  let text = BARE_URL.exec(rest)?.[0];
  if (!text) return null;
  while (".,;:!?*_~".includes(text.at(-1) ?? "-")) text = text.slice(0, -1);
  if (text.endsWith(")") && !text.includes("(")) text = text.slice(0, -1);
  const url = safeUrl(text);
  return url ? { parts: [bareLink(url)], next: at + text.length } : null;
}

function bareLink(url: string): Inline {
  const host = foreignHost(url);
  const text = host ? url.replace(...host) : url.replace(/^(mailto|tel):/, "");
  return { kind: "link", url, children: [{ kind: "text", text }] };
}

/** A host whose letters only look like another's, and its name in ASCII; null for a host that is ASCII itself. */
function foreignHost(url: string): [string, string] | null {
  const written = /^https:\/\/([^/?#]*)/i.exec(url)?.[1] ?? "";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole of ASCII is meant
  return /[^\u0000-\u007f]/.test(written) ? [written, new URL(url).host] : null;
}

function emphasis(text: string, at: number, open: boolean, depth: number): Found | null {
  for (const [mark, kind] of EMPHASIS) {
    if (!text.startsWith(mark, at)) continue;
    const after = text[at + mark.length];
    if (after === undefined) return open ? { parts: [], next: text.length } : null;
    if (/\s/.test(after) || after === mark[0]) continue;
    if (mark[0] === "_" && /\w/.test(text[at - 1] ?? "")) continue;
    const close = closingMark(text, at + mark.length, mark);
    if (close < 0 && !open) continue;
    const inside = text.slice(at + mark.length, close < 0 ? undefined : close);
    const next = close < 0 ? text.length : close + mark.length;
    return {
      parts: [
        { kind, children: inline(close < 0 ? inside.replace(/[*_~]$/, "") : inside, open && close < 0, depth + 1) },
      ],
      next,
    };
  }
  // A mark that opens nothing is text, the whole run of it at once.
  const run = /^(\*+|_+|~+)/.exec(text.slice(at))?.[0] ?? "";
  return { parts: [{ kind: "text", text: run }], next: at + run.length };
}

function closingMark(whole: string, from: number, mark: string): number {
  const text = whole.slice(0, from + LOOK_AHEAD);
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at += 1;
    else if (char === "`") at = lastOfCode(text, at);
    else if (char === mark[0]) {
      const run = runLength(text, at);
      if (at > from && closes(text, at, run, mark)) return at + run - mark.length;
      at += run - 1;
    }
  }
  return -1;
}

function closes(text: string, at: number, run: number, mark: string): boolean {
  if (run < mark.length || /\s/.test(text[at - 1] ?? "")) return false;
  if (mark.length === 1 && run === 2) return false; // a strong mark inside
  return mark[0] !== "_" || !/\w/.test(text[at + run] ?? "");
}

/** Marks inside a code span are text: the index of the span's last tick, or of the run that opens none. */
function lastOfCode(text: string, at: number): number {
  const rest = text.slice(at);
  const ticks = /^`+/.exec(rest)?.[0] ?? "`";
  return at + Math.max(closingTicks(rest, ticks), 0) + ticks.length - 1;
}

function runLength(text: string, at: number): number {
  let end = at;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

/** `url` if a visitor may be sent there: https, mailto, tel, nothing hidden in it. */
export function safeUrl(url: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what we look for
  if (/[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\\]/.test(url)) return null;
  if (/^(mailto:[^\s@]+@[^\s@]+|tel:\+?[\d().-]+)$/i.test(url)) return url;
  if (!/^https:\/\/[^/?#@]+([/?#]|$)/i.test(url)) return null;
  try {
    return new URL(url).protocol === "https:" ? url : null;
  } catch {
    return null;
  }
}

/** Code, escapes and links, which are not looked into, or a citation with the space before it. */
const FENCED = "(?:^|\\n)[ \\t>]*(`{3,}|~{3,})(?=[^`\\n]*(?:\\n|$))[\\s\\S]*?(?:\\n[ \\t>]*\\1|$)";
const SPAN = "(?<!`)(`+)(?!`)[\\s\\S]*?(?<!`)\\2(?!`)|\\\\[\\s\\S]";
const MARKED = new RegExp(`${FENCED}|${SPAN}| ?${CITE.source.replace("^", "")}`, "g");

/** The Markdown as the model wrote it, without the citations that are `known`: for pasting elsewhere. */
export function withoutCitations(source: string, known: readonly number[]): string {
  const found = source.replace(MARKED, (text, _fence, _ticks, numbers?: string) =>
    numbers?.split(",").every((n) => known.includes(Number(n))) ? "" : text,
  );
  return found.trim();
}

/** The words alone, for the live region and for previews. */
export function plainText(source: string): string {
  return parse(source).map(blockText).join(" ").replace(/\s+/g, " ").trim();
}

function blockText(block: Block): string {
  switch (block.kind) {
    case "paragraph":
    case "heading":
      return inlineText(block.children);
    case "code":
      return block.text;
    case "quote":
      return block.blocks.map(blockText).join(" ");
    case "list":
      return block.items.map((item) => item.blocks.map(blockText).join(" ")).join(", ");
    case "table":
      return block.rows.map((row) => row.map(inlineText).join(", ")).join("; ");
    case "rule":
      return "";
    default:
      block satisfies never;
      return "";
  }
}

function inlineText(parts: readonly Inline[]): string {
  return parts
    .map((part) => {
      if (part.kind === "break") return " ";
      if (part.kind === "cite") return "";
      return "text" in part ? part.text : inlineText(part.children);
    })
    .join("");
}

// Drawing -------------------------------------------------------------------------------------------------------------
/** What the DOM should be; `patch` brings it there with the fewest changes. */
export interface Wanted {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (Wanted | string)[];
}

const el = (tag: string, children: readonly (Wanted | string)[], attributes: Record<string, string> = {}): Wanted => ({
  tag,
  attributes,
  children,
});

function drawBlock(block: Block): Wanted {
  switch (block.kind) {
    case "paragraph":
      return el("p", drawInline(block.children));
    case "heading":
      // The page owns its own outline: chat headings start low.
      return el(`h${Math.min(6, block.level + 2)}`, drawInline(block.children));
    case "code":
      return el("pre", [el("code", [block.text], block.language ? { "data-language": block.language } : {})], {
        tabindex: "0",
      });
    case "quote":
      return el("blockquote", block.blocks.map(drawBlock));
    case "list":
      return el(
        block.ordered ? "ol" : "ul",
        block.items.map(drawItem),
        block.ordered && block.start !== 1 ? { start: String(block.start) } : {},
      );
    case "table":
      return drawTable(block);
    case "rule":
      return el("hr", []);
    default:
      block satisfies never;
      return el("p", []);
  }
}

function drawItem(item: ListItem): Wanted {
  const only = item.blocks.map((block, i) =>
    i === 0 && block.kind === "paragraph" ? el("span", drawInline(block.children)) : drawBlock(block),
  );
  if (item.checked === null) return el("li", only);
  const box = el("span", [item.checked ? "\u2611" : "\u2610"], { class: "task", "aria-hidden": "true" });
  return el("li", [box, ...only], { class: "task-item" });
}

function drawTable(block: Block & { kind: "table" }): Wanted {
  const row = (cellsOf: readonly (readonly Inline[])[], tag: string) =>
    el(
      "tr",
      cellsOf.map((cell, i) => el(tag, drawInline(cell), block.align[i] ? { "data-align": block.align[i] } : {})),
    );
  const [head = [], ...body] = block.rows;
  return el(
    "div",
    [
      el("table", [
        el("thead", [row(head, "th")]),
        el(
          "tbody",
          body.map((one) => row(one, "td")),
        ),
      ]),
    ],
    {
      class: "table",
      tabindex: "0",
    },
  );
}

function drawInline(parts: readonly Inline[]): (Wanted | string)[] {
  return parts.map((part) => {
    switch (part.kind) {
      case "text":
        return part.text;
      case "code":
        return el("code", [part.text]);
      case "break":
        return el("br", []);
      case "cite":
        return el("button", [String(part.n)], {
          type: "button",
          class: "cite",
          "data-n": String(part.n),
          "aria-label": `[${part.n}]`,
        });
      case "link":
        return el("a", drawInline(part.children), {
          href: part.url,
          target: "_blank",
          rel: "noopener noreferrer nofollow ugc",
        });
      default:
        return el(part.kind, drawInline(part.children));
    }
  });
}

/** Make `parent`'s children, from index `from` on, equal to `wanted`; nodes that already fit are kept. */
export function patch(parent: Node, wanted: readonly (Wanted | string)[], from = 0): void {
  wanted.forEach((child, i) => {
    const now = parent.childNodes[from + i];
    const fitting = now && fits(now, child) ? now : null;
    const node = fitting ?? create(child);
    if (now && !fitting) parent.replaceChild(node, now);
    else if (!now) parent.appendChild(node);
    update(node, child);
  });
  while (parent.childNodes.length > from + wanted.length) parent.lastChild?.remove();
}

function fits(node: Node, wanted: Wanted | string): boolean {
  if (typeof wanted === "string") return node.nodeType === 3;
  return node.nodeType === 1 && (node as Element).localName === wanted.tag;
}

function create(wanted: Wanted | string): Node {
  return typeof wanted === "string" ? document.createTextNode("") : document.createElement(wanted.tag);
}

function update(node: Node, wanted: Wanted | string): void {
  if (typeof wanted === "string") {
    const text = node as Text;
    if (wanted.startsWith(text.data)) {
      if (wanted.length > text.data.length) text.appendData(wanted.slice(text.data.length));
    } else text.data = wanted;
    return;
  }
  const element = node as Element;
  for (const { name } of [...element.attributes]) if (!(name in wanted.attributes)) element.removeAttribute(name);
  for (const [name, value] of Object.entries(wanted.attributes))
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  patch(element, wanted.children);
}

/** One answer on the page. */
export class MarkdownView {
  private readonly root: HTMLElement;
  private source = "";
  /** Where the blocks that may still change begin, and how many nodes stand before them. */
  private starts: number[] = [];
  private closed = false;

  constructor(root: HTMLElement) {
    this.root = root;
  }

  /** Show `text`, of which more may come unless `closed`; text that was taken back (a reset) disappears. */
  show(text: string, closed = false): void {
    if (text === this.source && closed === this.closed) return;
    const same = text.startsWith(this.source) ? this.source.length : commonLength(text, this.source);
    const kept = this.keepBefore(same);
    const from = this.starts[kept] ?? 0;
    this.source = text;
    this.closed = closed;
    const tail = parse(text.slice(from), !closed);
    this.starts = [...this.starts.slice(0, kept), ...tail.map((block) => block.from + from)];
    patch(this.root, tail.map(drawBlock), kept);
  }

  /**
   * How many blocks nothing can change. The last may still grow, and the one before may swallow it: a "2" after a list
   * turns into its second item when the dot comes.
   */
  private keepBefore(offset: number): number {
    let kept = this.starts.length;
    while (kept > 0 && (this.starts[kept - 1] as number) >= offset) kept -= 1;
    return Math.max(0, kept - 2);
  }
}

function commonLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}
