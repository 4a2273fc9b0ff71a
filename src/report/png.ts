/** SVG to PNG, by resvg compiled to WebAssembly, with the DejaVu fonts so that it looks the same everywhere. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { initWasm, Resvg } from '@resvg/resvg-wasm';

const require = createRequire(import.meta.url);
const FONTS = ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'];
/** Pixels per SVG unit: sharp on a dense screen, small as a file. */
const ZOOM = 2;

let ready: Promise<void> | undefined;

/** Draws an SVG document; the bytes of a PNG at twice its size. */
export async function svgToPng(svg: string): Promise<Uint8Array> {
  ready ??= initWasm(readFileSync(require.resolve('@resvg/resvg-wasm/index_bg.wasm')));
  await ready;
  const fontBuffers = FONTS.map((name) => readFileSync(require.resolve(`dejavu-fonts-ttf/ttf/${name}`)));
  const drawing = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: ZOOM },
    font: { fontBuffers, defaultFontFamily: 'DejaVu Sans', sansSerifFamily: 'DejaVu Sans' },
  });
  const image = drawing.render();
  const png = image.asPng();
  image.free();
  drawing.free();
  return png;
}
