// The list of tasks: the newest first, by state and type, page by page.

import { fill, h, keep, say } from "../dom.js";
import { Feed, ask } from "../feed.js";
import { empty, table, taskHeads, taskRow } from "../parts.js";
import { toTasks } from "../route.js";

const STATES = [["all", "All ended"], ["done", "Done"], ["failed", "Failed"], ["cancelled", "Cancelled"], ["running", "Running"]];

export function tasks(root, { query }) {
  const state = STATES.some(([name]) => name === query.get("state")) ? query.get("state") : "all";
  const type = query.get("type") ?? "";
  return new List(root, state, type);
}

class List {
  #state;
  #type;
  #body = h("tbody");
  #place = h("div", {}, h("p", { class: "detail" }, "Reading …"));
  #more = h("button", { type: "button", hidden: true, onclick: () => this.#load() }, "Load more");
  #newest = h("button", { type: "button", hidden: true, onclick: () => this.#follow() }, "Back to the newest");
  #status = h("p", { class: "detail", role: "status" });
  #foot = h("div", { class: "more" }, this.#more, this.#newest, this.#status);
  #feed = null;
  #tasks = [];
  #next = null;
  #shown = "";

  constructor(root, state, type) {
    this.#state = state;
    this.#type = type;
    root.append(h("h1", {}, "Tasks"), filters(state, type), this.#place, this.#foot);
    this.#follow();
  }

  close() {
    this.#feed?.close();
  }

  again() {
    this.#feed?.now();
  }

  /** Shows the newest, and keeps showing them. */
  #follow() {
    this.#feed?.close();
    this.#feed = new Feed(this.#url(), (page) => this.#show(page.tasks, page.next), (error) => this.#refuse(error));
  }

  /** Shows the next page below. Where older ones are read, newer ones do not push them away. */
  async #load() {
    this.#feed?.close();
    this.#feed = null;
    this.#more.disabled = true;
    try {
      const { status, data } = await ask(this.#url(this.#next));
      if (status === 200) this.#show([...this.#tasks, ...data.tasks], data.next, true);
      else say(this.#status, data?.error?.message ?? `The answer was ${status}.`);
    } catch {
      say(this.#status, "qmanager does not answer. Try again.");
    } finally {
      this.#more.disabled = false;
    }
  }

  #show(tasks, next, still = false) {
    this.#tasks = [...new Map(tasks.map((task) => [task.id, task])).values()];
    this.#next = next;
    keep(this.#body, this.#tasks, (task) => JSON.stringify(task), taskRow);
    const kind = this.#tasks.length ? "list" : "empty";
    if (kind !== this.#shown) {
      this.#shown = kind;
      const heads = taskHeads(this.#state === "running" ? "Started" : "Ended");
      fill(this.#place, kind === "list" ? table("Tasks", heads, this.#body) : nothing(this.#state, this.#type));
    }
    this.#more.hidden = !next;
    this.#newest.hidden = !still;
    say(this.#status, still ? `${this.#tasks.length} tasks are shown; newer ones are not added meanwhile.` : "");
  }

  #refuse(error) {
    fill(this.#foot);
    fill(this.#place, empty(error.message ?? "This cannot be shown.", h("p", {}, error.hint)));
  }

  #url(cursor = null) {
    const query = new URLSearchParams({ state: this.#state });
    if (this.#type) query.set("type", this.#type);
    if (cursor) query.set("cursor", cursor);
    return `/api/tasks?${query}`;
  }
}

function filters(state, type) {
  const links = STATES.map(([name, label]) => h("a", {
    href: toTasks({ state: name === "all" ? "" : name, type }),
    "aria-current": name === state ? "true" : null,
  }, label));
  const field = h("input", { name: "type", type: "search", value: type, placeholder: "any type", "aria-label": "Type", autocomplete: "off", spellcheck: "false", maxlength: "64" });
  const form = h("form", { class: "type", onsubmit: (event) => {
    event.preventDefault();
    location.hash = toTasks({ state: state === "all" ? "" : state, type: field.value.trim() });
  } }, h("label", {}, "Type ", field), h("button", { type: "submit" }, "Filter"));
  return h("div", { class: "filters" }, h("nav", { "aria-label": "State" }, links), form);
}

function nothing(state, type) {
  const what = state === "all" ? "No task has ended yet" : state === "running" ? "No task runs now" : `No task is ${state}`;
  const clear = state !== "all" || type;
  return empty(`${what}${type ? ` of the type ${type}` : ""}.`,
    clear && h("p", {}, h("a", { href: toTasks() }, "Clear the filters")));
}
