import { beforeEach, describe, expect, it } from "vitest";
import { MarkdownView, parse, plainText, safeUrl, withoutCitations } from "./markdown";

let root: HTMLElement;
beforeEach(() => {
  root = document.createElement("div");
});

function draw(source: string): string {
  const view = new MarkdownView(root);
  view.show(source, true);
  return root.innerHTML;
}

describe("what is copied", () => {
  const table: [string, string, string][] = [
    ["markers go with their space", "Yes [1], no [1][2]. So [1, 2]", "Yes, no. So"],
    ["lists and emphasis stay", "**Do**:\n\n1. a [1]\n2. b\n   - c [2]", "**Do**:\n\n1. a\n2. b\n   - c"],
    ["code is left alone", "a[1]\n```py\nx = y [1]\n```\n`z [2]` [2]", "a\n```py\nx = y [1]\n```\n`z [2]`"],
    ["an open fence too", "a [1]\n\n~~~\nx [1]", "a\n\n~~~\nx [1]"],
    ["links, escapes and what is no source", "[1](https://a.example) \\[2] [7]", "[1](https://a.example) \\[2] [7]"],
  ];
  it.each(table)("%s", (_name, source, wanted) => expect(withoutCitations(source, [1, 2])).toBe(wanted));
});

/** Where the steps grow with the square of the length, these take until the test runner gives up. */
describe("what is hostile", () => {
  const many = (part: string, times: number, end = "") => part.repeat(times) + end;
  it.each([
    many("[", 32_000),
    many("*a ", 12_000),
    many("![", 16_000),
    many("_a `", 10_000),
    `\`\`\`${many("a", 32_000, "`")}`,
    `# a${many(" ", 32_000, "b")}`,
    `# ${many("#", 32_000, "b")}`,
    `a|b\n-${many(" ", 32_000, "b")}`,
    `\` ${many("a", 32_000, "`")}`,
    `https://a${many(".", 32_000, "a")}`,
  ])("is read in time: %#", (source) => {
    for (const open of [true, false]) parse(source, open);
    withoutCitations(source, [1]);
  });
});

describe("what is drawn", () => {
  const table: [string, string, string][] = [
    ["paragraphs", "one\n\ntwo", "<p>one</p><p>two</p>"],
    ["a soft break", "one\ntwo", "<p>one<br>two</p>"],
    [
      "strong and em",
      "a **b** *c* __d__ _e_ ~~f~~",
      "<p>a <strong>b</strong> <em>c</em> <strong>d</strong> <em>e</em> <del>f</del></p>",
    ],
    ["nested emphasis", "**a *b***", "<p><strong>a <em>b</em></strong></p>"],
    ["unclosed marks are text", "2 * 3 ** 4 and **x", "<p>2 * 3 ** 4 and **x</p>"],
    ["underscores in words", "snake_case_name", "<p>snake_case_name</p>"],
    ["escapes", "\\*a\\* \\[1\\]", "<p>*a* [1]</p>"],
    ["code", "run `a *b*` now", "<p>run <code>a *b*</code> now</p>"],
    ["headings start low", "# A\n## B #", "<h3>A</h3><h4>B</h4>"],
    ["a heading's own marks", "# C# ##\n# #", "<h3>C#</h3><h3></h3>"],
    ["a fence without a line", "a\n\n```js", "<p>a</p>"],
    ["an empty fence in a list", "- a\n  ```\n  ```\n- b", "<ul><li><span>a</span></li><li><span>b</span></li></ul>"],
    ["a rule", "a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"],
    ["a quote", "> a\n> b\n\nc", "<blockquote><p>a<br>b</p></blockquote><p>c</p>"],
    ["a list", "- a\n- b\n  more", "<ul><li><span>a</span></li><li><span>b<br>more</span></li></ul>"],
    ["a list right after text", "x:\n1. a\n2. b", "<p>x:</p><ol><li><span>a</span></li><li><span>b</span></li></ol>"],
    [
      "a numbered list that starts late",
      "3. a\n4. b",
      '<ol start="3"><li><span>a</span></li><li><span>b</span></li></ol>',
    ],
    [
      "nested lists",
      "- a\n  - b\n- c",
      "<ul><li><span>a</span><ul><li><span>b</span></li></ul></li><li><span>c</span></li></ul>",
    ],
    ["a loose list", "1. a\n\n2. b", "<ol><li><span>a</span></li><li><span>b</span></li></ol>"],
  ];
  it.each(table)("%s", (_name, source, wanted) => expect(draw(source)).toBe(wanted));

  it("a fence keeps its text as it is", () => {
    draw("```py\nif a < b:\n    **x**\n```\nafter");
    expect(root.querySelector("pre code")?.textContent).toBe("if a < b:\n    **x**");
    expect(root.querySelector("code")?.getAttribute("data-language")).toBe("py");
    expect(root.lastElementChild?.textContent).toBe("after");
  });

  it("a table", () => {
    draw("| a | b |\n|:--|--:|\n| 1 | **2** |\n| x \\| y |");
    expect([...root.querySelectorAll("th,td")].map((cell) => cell.textContent)).toEqual([
      "a",
      "b",
      "1",
      "2",
      "x | y",
      "",
    ]);
    expect(root.querySelector("td[data-align=right] strong")?.textContent).toBe("2");
  });

  it("a task list", () => {
    draw("- [x] done\n- [ ] open");
    expect([...root.querySelectorAll(".task")].map((box) => box.textContent)).toEqual(["\u2611", "\u2610"]);
  });

  it("citations are buttons, but not in code, links or escapes", () => {
    draw("Yes [1][2] and [3, 4]. `[5]` [6](https://a.example) x\\[7]");
    expect([...root.querySelectorAll("button.cite")].map((one) => one.getAttribute("data-n"))).toEqual([
      "1",
      "2",
      "3",
      "4",
    ]);
    expect(root.querySelector("a")?.textContent).toBe("6");
  });

  it("links open safely", () => {
    draw("[a](https://a.example/x?y=1) https://b.example/z. <mailto:a@b.example> [t](tel:+491234)");
    const links = [...root.querySelectorAll("a")];
    expect(links.map((link) => link.getAttribute("href"))).toEqual([
      "https://a.example/x?y=1",
      "https://b.example/z",
      "mailto:a@b.example",
      "tel:+491234",
    ]);
    for (const link of links) expect(link.getAttribute("rel")).toBe("noopener noreferrer nofollow ugc");
  });

  it("a foreign host shows its ASCII name", () => {
    draw(
      "https://\u0430pple.com/x <https://b\u00fccher.example> [bank](https://\u0430pple.com) [ok](https://a.example/\u00fc)",
    );
    expect([...root.querySelectorAll("a")].map((link) => link.textContent)).toEqual([
      "https://xn--pple-43d.com/x",
      "https://xn--bcher-kva.example",
      "bank (xn--pple-43d.com)",
      "ok",
    ]);
  });

  it("an image is a link to it", () => {
    draw("![chart](https://a.example/c.png)");
    expect(root.querySelector("img")).toBeNull();
    expect(root.querySelector("a")?.textContent).toBe("chart");
  });

  it("plainText leaves the words", () => {
    expect(plainText("# Hi\n\n- **a** [1]\n- [b](https://x.example)")).toBe("Hi a , b");
  });
});

describe("while it streams", () => {
  it("draws unclosed marks as if they were closed", () => {
    const view = new MarkdownView(root);
    view.show("Take **two");
    expect(root.innerHTML).toBe("<p>Take <strong>two</strong></p>");
    view.show("Take **two** `x");
    expect(root.innerHTML).toBe("<p>Take <strong>two</strong> <code>x</code></p>");
    view.show("See [the page](https://a.exa");
    expect(root.textContent).toBe("See the page");
  });

  it("keeps the nodes of what is finished", () => {
    const view = new MarkdownView(root);
    view.show("one\n\ntwo\n\nthr");
    const [first, second] = [root.childNodes[0], root.childNodes[1]];
    view.show("one\n\ntwo\n\nthree\n\nfour");
    expect(root.childNodes[0]).toBe(first);
    expect(root.childNodes[1]).toBe(second);
  });

  it("takes text back", () => {
    const view = new MarkdownView(root);
    view.show("one\n\n- a\n- b\n\nlast words");
    view.show("one\n\n- a");
    expect(root.innerHTML).toBe("<p>one</p><ul><li><span>a</span></li></ul>");
    view.show("other", true);
    expect(root.innerHTML).toBe("<p>other</p>");
  });
});

// A small deterministic generator: failures must repeat.
function* numbers(seed: number): Generator<number> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

const PIECES = [
  "word ",
  "**",
  "*",
  "_",
  "__",
  "~~",
  "`",
  "```",
  "```js\n",
  "\n",
  "\n\n",
  "\r\n",
  "- ",
  "-",
  "1. ",
  "2",
  "2.",
  ". ",
  "# ",
  "#",
  "> ",
  "|",
  "| a | b |\n",
  "|---|---|\n",
  "---",
  "[",
  "]",
  "(",
  ")",
  "[1]",
  "[2, 3]",
  "https://a.example/x",
  "](https://b.example)",
  "![",
  "\\",
  "<b>",
  "&amp;",
  "  ",
  "    ",
  "\t",
  "ü",
  "😀",
  ":",
  "!",
  "[x] ",
  "* ",
  "+ ",
  "\r",
  "mailto:",
  "~~~\n",
];

describe("any split of a document equals the whole", () => {
  it.each(Array.from({ length: 300 }, (_, seed) => seed))("document %i", (seed) => {
    const random = numbers(seed + 1);
    const next = () => random.next().value as number;
    const source = Array.from(
      { length: 5 + Math.floor(next() * 40) },
      () => PIECES[Math.floor(next() * PIECES.length)],
    ).join("");
    const whole = draw(source);
    const streamed = document.createElement("div");
    const view = new MarkdownView(streamed);
    for (let at = 0; at < source.length; ) {
      at = Math.min(source.length, at + 1 + Math.floor(next() * 6));
      view.show(source.slice(0, at));
      if (next() < 0.1) view.show(source.slice(0, Math.floor(next() * at)));
    }
    view.show(source, true);
    expect(streamed.innerHTML).toBe(whole);
  });
});

const URLS = [
  "javascript:alert(1)",
  "JaVaScRiPt:alert(1)",
  " javascript:alert(1)",
  "java\tscript:alert(1)",
  "java\nscript:alert(1)",
  "\u0001javascript:alert(1)",
  "data:text/html,<script>alert(1)</script>",
  "vbscript:x",
  "file:///etc/passwd",
  "http://a.example",
  "//a.example",
  "/x",
  "blob:https://a.example/1",
  "https:javascript:alert(1)",
  "https://",
  "https:\\\\a.example",
  "https://user@a.example",
  "https://a.example\u202e",
  "mailto:",
  "mailto:x",
  "tel:abc",
  "tel:javascript:1",
  "ftp://a.example",
  "intent://a",
  "ws://a",
  "view-source:x",
  "javascript&colon;alert(1)",
  "&#106;avascript:alert(1)",
  "%6aavascript:alert(1)",
  "x:y",
  "",
];
const WRAPS: ((url: string) => string)[] = [
  (url) => `[x](${url})`,
  (url) => `![x](${url})`,
  (url) => `<${url}>`,
  (url) => `[x][1]\n\n[1]: ${url}`,
  (url) => `[x](<${url}>)`,
];
const MARKUP = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg/onload=alert(1)>",
  "<iframe srcdoc='<script>'>",
  "<a href=javascript:1>x</a>",
  "`<img src=x onerror=1>`",
  "**<script>x</script>**",
  "| <script> |\n|---|\n| <img onerror=1> |",
  "# <svg onload=1>",
  "> <iframe>",
  '[x](https://a.example "onmouseover=alert(1)")',
  '[x](https://a.example"onmouseover="alert(1))',
  "[<img onerror=1>](https://a.example)",
  "```<script>\n<img src=x onerror=1>\n```",
  "<!--<img src=--><img src=x onerror=1>-->",
  "<math><mtext></p><style><img onerror=1>",
  "<form action=x><input>",
  "<style>*{color:red}</style>",
  "<base href=https://evil.example>",
  "<link rel=stylesheet href=x>",
  "<meta http-equiv=refresh>",
  "&lt;script&gt;",
];
const ALLOWED = new Set(
  "p h3 h4 h5 h6 pre code blockquote ul ol li table thead tbody tr th td hr br strong em del a button span div".split(
    " ",
  ),
);
const ATTRIBUTES = new Set(
  "href target rel class data-n data-language data-align aria-label aria-hidden type tabindex start".split(" "),
);

describe("payloads are inert", () => {
  const payloads = [...URLS.flatMap((url) => WRAPS.map((wrap) => wrap(url))), ...MARKUP];
  it(`${payloads.length} of them`, () => {
    for (const payload of payloads) {
      draw(payload);
      for (const element of root.querySelectorAll("*")) {
        expect(ALLOWED.has(element.localName), payload).toBe(true);
        for (const { name } of element.attributes) expect(ATTRIBUTES.has(name), payload).toBe(true);
        const href = element.getAttribute("href");
        if (href !== null) expect(href, payload).toMatch(/^(https:\/\/|mailto:|tel:)/);
      }
    }
  });

  it("addresses", () => {
    for (const url of URLS) expect(safeUrl(url), url).toBeNull();
    for (const url of ["https://a.example", "HTTPS://a.example/x#y", "mailto:a@b.example", "tel:+49-30"])
      expect(safeUrl(url)).toBe(url);
  });

  it("hostile depth and length come to an end", () => {
    for (const part of ["*", "[", "> ", "- ", "`", "_", "![", "](", "**a", "|", "[a](", "<"]) parse(part.repeat(4000));
  });
});
