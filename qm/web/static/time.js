// Times that say how long ago they were, and keep saying it.

import { h, say } from "./dom.js";
import { ago, moment } from "./format.js";

let ahead = 0; // seconds by which the server's clock is ahead of ours

/** Learns the server's time from an answer's Date header. */
export function hear(date) {
  const at = Date.parse(date ?? "");
  if (!Number.isNaN(at)) ahead = (at - Date.now()) / 1000;
}

/** The server's time, in seconds since 1970; a second is all that it is good for. */
export function now() {
  return Date.now() / 1000 + ahead;
}

/** A time as "12 s ago", with the moment itself when pointed at. */
export function since(at) {
  const attributes = { "data-at": at, datetime: new Date(at * 1000).toISOString(), title: moment(at) };
  return h("time", attributes, ago(now() - at));
}

setInterval(() => {
  if (document.hidden) return;
  for (const node of document.querySelectorAll("time[data-at]")) say(node, ago(now() - Number(node.dataset.at)));
}, 1000);
