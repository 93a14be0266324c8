// Bundles the page, with the icons and fonts that Grafana's components load: node build.mjs FOLDER

import { cpSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2];

await build({
  absWorkingDir: here,
  entryPoints: ['page.jsx'],
  outdir: folder,
  bundle: true,
  minify: true,
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
  loader: { '.ttf': 'empty', '.svg': 'dataurl' },
  logLevel: 'error',
});
cpSync(join(here, 'index.html'), join(folder, 'index.html'));
const icons = join(packageOf('@grafana/ui'), 'dist/public/img/icons');
cpSync(icons, join(folder, 'public/build/img/icons'), { recursive: true });
const inter = join(packageOf('@fontsource/inter'), 'files');
for (const [weight, name] of [[400, 'Regular'], [500, 'Medium']]) {
  const font = join(inter, `inter-latin-${weight}-normal.woff2`);
  cpSync(font, join(folder, `public/fonts/inter/Inter-${name}.woff2`));
}

function packageOf(name) {
  return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
}
