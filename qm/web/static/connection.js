// Whether what is shown is fresh, in words that a screen reader says once and not every two seconds.

import { h, fill } from "./dom.js";

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

let told = "";
let lost = null;

/** The last answer is fresh. */
export function fine() {
  lost = null;
  show("live", "Live");
}

/** There is no answer: the numbers on the page are old. `message` says why, `hint` what to do. */
export function away(message, hint) {
  lost ??= clock.format(new Date());
  show("away", `Away since ${lost}: ${message}`, hint);
}

/** Calls `act` when the viewer wants to try at once. */
export function onAgain(act) {
  document.getElementById("again").addEventListener("click", act);
}

function show(state, text, hint) {
  const news = `${state} ${text} ${hint ?? ""}`;
  if (news === told) return;
  told = news;
  document.body.dataset.connection = state;
  const line = document.getElementById("connection");
  fill(line, h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, text));
  if (hint) line.append(h("span", { class: "hint" }, hint));
  document.getElementById("again").hidden = state === "live";
}
