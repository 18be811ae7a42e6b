// Copies what needs no bundling into dist: the demo site and the API documentation with its viewer.
import { cpSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
mkdirSync(`${root}dist/docs`, { recursive: true });
cpSync(`${root}demo`, `${root}dist/demo`, { recursive: true });
for (const name of ["index.html", "errors.html", "docs.js", "docs.css"]) cpSync(`${root}docs/${name}`, `${root}dist/docs/${name}`);
for (const name of ["swagger-ui-bundle.js", "swagger-ui.css", "LICENSE"]) {
  cpSync(`${root}node_modules/swagger-ui-dist/${name}`, `${root}dist/docs/${name}`);
}
