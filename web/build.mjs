/**
 * Builds the page into dist/: index.html, and everything else in assets/ under names that change with the content, so
 * that browsers can cache it for ever. LiveKit is a chunk of its own, which the page imports after its first paint.
 * It is not preloaded, since it would compete with that paint.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const ROOT = import.meta.dirname;
const DIST = path.join(ROOT, 'dist');
const ASSETS = path.join(DIST, 'assets');
const ENTRIES = { main: 'src/main.js', styles: 'styles.css' };
/** What the browser must load before the first paint: the entry and its stylesheet, gzip. */
const FIRST_PAINT_LIMIT_BYTES = 20_000;

await rm(DIST, { recursive: true, force: true });
await mkdir(ASSETS, { recursive: true });

const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: ENTRIES,
  outdir: ASSETS,
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['es2022', 'chrome114', 'firefox125', 'safari17'],
  minify: true,
  legalComments: 'external',
  metafile: true,
  logLevel: 'warning',
});

/** @type {Map<string, string>} source path as index.html names it → path in dist */
const built = new Map();
for (const [output, { entryPoint }] of Object.entries(metafile.outputs)) {
  if (entryPoint && Object.values(ENTRIES).includes(entryPoint)) {
    built.set(entryPoint, path.relative(DIST, path.join(ROOT, output)));
  }
}

const favicon = await readFile(path.join(ROOT, 'favicon.svg'));
const digest = createHash('sha256').update(favicon).digest('hex').slice(0, 8);
built.set('favicon.svg', `assets/favicon-${digest}.svg`);
await writeFile(path.join(DIST, `assets/favicon-${digest}.svg`), favicon);

let html = await readFile(path.join(ROOT, 'index.html'), 'utf8');
for (const [source, target] of built) {
  const quoted = `"${source}"`;
  if (html.split(quoted).length !== 2) throw new Error(`index.html must name ${quoted} exactly once`);
  html = html.replace(quoted, `"${target.split(path.sep).join('/')}"`);
}
await writeFile(path.join(DIST, 'index.html'), html);

let firstPaint = 0;
for (const name of (await readdir(ASSETS)).sort()) {
  const content = await readFile(path.join(ASSETS, name));
  const gzip = gzipSync(content, { level: 9 }).length;
  if (/^(main|styles)-.*\.(js|css)$/.test(name)) firstPaint += gzip;
  console.log(`${`assets/${name}`.padEnd(48)} ${String(content.length).padStart(8)} B ${String(gzip).padStart(8)} B gzip`);
}
console.log(`before the first paint: ${firstPaint} B gzip`);
if (firstPaint > FIRST_PAINT_LIMIT_BYTES) {
  throw new Error(`the limit before the first paint is ${FIRST_PAINT_LIMIT_BYTES} B gzip`);
}
