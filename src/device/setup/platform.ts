/** Where libtensorflow runs: Linux with glibc. Elsewhere everything runs on wasm. */

interface ReportHeader {
  readonly header?: { readonly glibcVersionRuntime?: string };
}

/** The running C library: `glibc 2.36`, or undefined on musl and outside Linux. */
export function glibcVersion(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  // Network interfaces make the report slow and are not needed.
  Object.assign(process.report, { excludeNetwork: true });
  return (process.report.getReport() as ReportHeader).header?.glibcVersionRuntime;
}

/** Why TensorFlow cannot run on this machine, or undefined when it can. */
export function unsupportedPlatform(): string | undefined {
  if (process.platform !== 'linux') return `TensorFlow is set up on Linux only; this is ${process.platform} ${process.arch}`;
  if (glibcVersion() === undefined) return 'TensorFlow needs glibc; this Linux has another C library';
  return undefined;
}

/** Whether the one wheel that is downloaded fits this machine. */
export const WHEEL_FITS = process.platform === 'linux' && process.arch === 'x64';
