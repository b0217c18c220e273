// What several views show.

import { h } from "./dom.js";
import { duration, number } from "./format.js";
import { toTask } from "./route.js";
import { since } from "./time.js";

/** A state as a word with a colour: never the colour alone. */
export function badge(state) {
  return h("span", { class: `badge ${state}` }, state);
}

/** A command to copy: one click selects all of it. */
export function command(text) {
  return h("code", { class: "command", tabindex: "0" }, text);
}

/** Nothing to show, and what to do about it. */
export function empty(text, ...more) {
  return h("div", { class: "empty" }, h("p", {}, text), more);
}

/** A section with its heading. */
export function section(title, ...children) {
  return h("section", {}, h("h2", {}, title), children);
}

/** A table that turns into a list of cards where it is narrow. */
export function table(label, heads, body) {
  const row = heads.map(([name, kind]) => h("th", { scope: "col", class: kind }, name));
  return h("div", { class: "sheet" }, h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, row)), body));
}

/** The heads of a table of tasks; `when` says what its last column tells. */
export function taskHeads(when = "Ended") {
  return [["Task"], ["State"], ["Input"], ["Output or error"], ["Took", "number"], [when, "number"]];
}

/** A task as a row under `taskHeads`. It does not change: an ended task is ended. */
export function taskRow(task) {
  const took = task.ended != null && task.started != null ? duration(task.ended - task.started) : "–";
  return h("tr", {},
    h("td", { class: "task" },
      h("a", { href: toTask(task.id), title: task.id }, h("b", {}, task.type), " ", h("span", { class: "id" }, short(task.id)))),
    h("td", { class: "state" }, badge(task.state)),
    h("td", { class: "text input", title: task.input }, task.input),
    h("td", { class: `text outcome ${task.state}`, title: task.outcome ?? "" }, outcome(task)),
    h("td", { class: "number took" }, took),
    h("td", { class: "number ended" }, since(task.ended ?? task.started ?? task.added)));
}

/** A number that may be large. */
export function count(value) {
  return h("td", { class: value ? "number" : "number zero" }, number(value));
}

/** The end of an id of ours, which differs from its neighbour's; a name that somebody gave is shown as it is. */
function short(id) {
  return id.length > 20 ? `…${id.slice(-8)}` : id;
}

function outcome(task) {
  if (task.outcome == null) return [task.progress != null && `${Math.round(task.progress * 100)} %`, task.note].filter(Boolean).join(" ");
  return task.outcome.startsWith(`${task.state}: `) ? task.outcome.slice(task.state.length + 2) : task.outcome;
}
