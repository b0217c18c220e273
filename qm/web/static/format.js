// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en");
const day = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** 12,345 */
export function number(value) {
  return whole.format(value);
}

/** Tasks per second: 0, 0.25, 3.1, 1,240; a dash where it is not known. */
export function rate(value) {
  return value === null ? "–" : whole.format(value);
}

/** "1 task", "2 tasks", "2 processes". */
export function many(count, noun, plural = `${noun}s`) {
  return `${number(count)} ${count === 1 ? noun : plural}`;
}

/** Seconds as 4 ms, 1.2 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return two(seconds, 60, "min", 1, "s");
  if (seconds < 86400) return two(seconds, 3600, "h", 60, "min");
  return two(seconds, 86400, "d", 3600, "h");
}

/** How long ago that was: "now", "12 s ago", "3 min ago". */
export function ago(seconds) {
  if (seconds < 1) return "now";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

/** Seconds since 1970 as 2026-11-24 14:02:03, in the viewer's time zone. */
export function moment(at) {
  const date = new Date(at * 1000);
  return `${day.format(date)} ${clock.format(date)}`;
}

/** Bytes as 512 bytes, 3.1 KiB, 24 MiB. */
export function bytes(count) {
  if (count < 1024) return many(count, "byte");
  const [size, unit] = count < 1024 ** 2 ? [1024, "KiB"] : [1024 ** 2, "MiB"];
  return `${(count / size).toFixed(count < 10 * size ? 1 : 0)} ${unit}`;
}

function two(seconds, large, first, small, second) {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${first}${rest ? ` ${rest} ${second}` : ""}`;
}
