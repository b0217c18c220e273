// How many tasks ended per second, over the last five minutes, or as long as this page has been open.

import { svg } from "./dom.js";
import { rate } from "./format.js";

const SECONDS = 300;
const SHORTEST = 30;
const WIDTH = 300;
const HEIGHT = 40;
const samples = [];

/** Notes a rate; null is a gap. */
export function note(value) {
  const at = performance.now() / 1000;
  if (value !== null) samples.push([at, value]);
  while (samples.length && samples[0][0] < at - SECONDS) samples.shift();
}

/** The picture, drawn anew by its `draw`. */
export function sparkline() {
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "line" });
  const picture = svg("svg", { class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    area, line);
  const draw = () => {
    const at = performance.now() / 1000;
    const peak = Math.max(1, ...samples.map(([, value]) => value));
    const span = Math.max(SHORTEST, at - (samples[0]?.[0] ?? at));
    const points = samples.map(([when, value]) =>
      `${(WIDTH * (1 - (at - when) / span)).toFixed(1)} ${(HEIGHT - 2 - (value / peak) * (HEIGHT - 4)).toFixed(1)}`);
    const path = points.length ? `M${points.join("L")}` : "";
    line.setAttribute("d", path);
    const first = points.length ? points[0].split(" ")[0] : 0;
    const last = points.length ? points[points.length - 1].split(" ")[0] : 0;
    area.setAttribute("d", path ? `${path}L${last} ${HEIGHT}L${first} ${HEIGHT}Z` : "");
    const most = samples.length ? Math.max(...samples.map(([, value]) => value)) : null;
    picture.setAttribute("aria-label", `Tasks per second over the last five minutes, at most ${rate(most)}`);
  };
  return { picture, draw };
}
