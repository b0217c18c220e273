// How things stand.

import { fill, h, keep, say } from "../dom.js";
import { Feed } from "../feed.js";
import { many, number, rate } from "../format.js";
import { command, count, empty, section, table, taskHeads, taskRow } from "../parts.js";
import { toTasks } from "../route.js";
import { note, sparkline } from "../sparkline.js";
import { since } from "../time.js";

/** The types that every worker knows. */
const BUILT_IN = new Set(["arithmetic", "encoder", "fibonacci", "reverse"]);

export function overview(root) {
  const parts = [figures(), notices(), finished(), types(), pools()];
  root.append(h("h1", { class: "hidden" }, "Overview"), ...parts.map((part) => part.node));
  const feed = new Feed("/api/overview", (data) => {
    note(data.rate);
    for (const part of parts) part.show(data);
    about(data);
  }, (error) => fill(root, empty(error.message ?? "This cannot be shown.", h("p", {}, error.hint))));
  return { close: () => feed.close(), again: () => feed.now() };
}

/** The large numbers. */
function figures() {
  const chart = sparkline();
  const values = {};
  const figure = (name, label, href, extra) => {
    values[name] = { number: h("dd", { class: "figure" }, "–"), detail: h("dd", { class: "detail" }) };
    const head = href ? h("a", { href }, label) : label;
    return h("div", { class: `card ${name}` }, h("dt", {}, head), values[name].number, values[name].detail, extra);
  };
  const node = h("dl", { class: "cards" },
    figure("rate", "Tasks per second", null, h("dd", { class: "chart" }, chart.picture)),
    figure("wait", "Waiting"),
    figure("progress", "Running", toTasks({ state: "running" })),
    figure("done", "Ended", toTasks()),
    figure("failed", "Failed", toTasks({ state: "failed" })));
  const put = (name, text, detail) => {
    say(values[name].number, text);
    say(values[name].detail, detail);
  };
  return { node, show(data) {
    const { states } = data;
    put("rate", rate(data.rate), data.rate === null ? "measuring …" : "over the last 10 s");
    put("wait", number(data.wait), later(states));
    put("progress", number(data.progress), `on ${many(data.processes, "process", "processes")}`);
    put("done", number(data.done), ended(states));
    put("failed", number(states.failed), states.failed ? "dead letters" : "");
    node.querySelector(".failed").classList.toggle("some", states.failed > 0);
    chart.draw();
  } };
}

/** What wants somebody's attention. */
function notices() {
  const node = h("div", { class: "notices" });
  let told = "";
  return { node, show(data) {
    const found = warnings(data);
    const news = JSON.stringify(found);
    if (news === told) return; // what stays keeps its focus
    told = news;
    fill(node, found.map(({ text, commands }) =>
      h("div", { class: "notice" }, h("p", {}, text), commands.map((line) => h("p", {}, command(line))))));
  } };
}

function warnings(data) {
  const found = [];
  if (data.draining) found.push({ text: "The manager is stopping: it takes nothing new.", commands: [] });
  if (data.unserved.length) {
    const names = data.unserved.slice(0, 5).join(", ") + (data.unserved.length > 5 ? ", …" : "");
    const ours = data.unserved.every((name) => BUILT_IN.has(name));
    const which = ours ? "" : ", with the module that has the operation in place of MODULE";
    found.push({
      text: `Tasks wait that no connected worker serves: ${names}. Start a worker${which}:`,
      commands: [`qmworker${ours ? "" : " --load MODULE"}${where(data)}`],
    });
  } else if (!data.pool_count) {
    found.push({ text: "No worker is connected. Start one:", commands: [`qmworker${where(data)}`] });
  }
  return found;
}

/** The tasks that ended last. */
function finished() {
  const body = h("tbody");
  const list = table("Tasks that ended last", taskHeads(), body);
  const place = h("div", {}, h("p", { class: "detail" }, "Reading …"));
  const node = section("Ended last", place);
  let shown = "";
  return { node, show(data) {
    const kind = data.tasks === null ? "private" : data.tasks.length ? "list" : data.wait + data.progress ? "soon" : "empty";
    if (kind === "list") keep(body, data.tasks.slice(0, 10), key, taskRow);
    if (kind === shown) return;
    shown = kind;
    if (kind === "list") fill(place, list, h("p", { class: "more" }, h("a", { href: toTasks() }, "All ended tasks")));
    else if (kind === "private") fill(place, hidden());
    else if (kind === "soon") fill(place, empty("No task has ended yet."));
    else fill(place, empty("There is no task yet. Add one, and wait for its result:",
      h("p", {}, command(`qmclient add --type fibonacci --input 15 --wait 10${where(data)}`))));
  } };
}

function hidden() {
  return empty("Tasks are not shown here: this page has no login yet, and other machines can reach it. On the manager's own machine:",
    h("p", {}, command("qmclient list")));
}

/** The tasks by type. */
function types() {
  const body = h("tbody");
  const list = table("Tasks by type", [["Type"], ["Waiting", "number"], ["Running", "number"], ["Ended", "number"], ["Failed", "number"]], body);
  const more = h("p", { class: "detail" });
  const node = section("By type", list, more);
  return { node, show(data) {
    node.hidden = !data.types.length;
    keep(body, data.types, (one) => one.type, () => h("tr"), (row, one) => {
      const news = JSON.stringify(one);
      if (row.dataset.shown === news) return;
      row.dataset.shown = news;
      const name = data.tasks === null ? one.type : h("a", { href: toTasks({ type: one.type }) }, one.type);
      fill(row, h("th", { scope: "row" }, name), count(one.wait), count(one.progress), count(one.done), count(one.failed));
    });
    const rest = data.type_count - data.types.length;
    say(more, rest > 0 ? `and ${many(rest, "more type")}` : "");
  } };
}

/** The connected pools of workers. */
function pools() {
  const body = h("tbody");
  const list = table("Connected workers", [["Worker"], ["Processes", "number"], ["Types"], ["Connected", "number"]], body);
  const node = section("Workers", list);
  return { node, show(data) {
    node.hidden = !data.pools?.length;
    keep(body, data.pools ?? [], (pool) => `${pool.name} ${pool.since}`, (pool) => h("tr", {},
      h("th", { scope: "row" }, pool.name), count(pool.processes),
      h("td", { class: "text" }, pool.types.join(", ") + (pool.more ? ` and ${pool.more} more` : "")),
      h("td", { class: "number" }, since(pool.since))));
  } };
}

function about(data) {
  const where = data.store === "memory" ? "in memory: they end with the manager" : `in ${data.store}`;
  const line = document.getElementById("about");
  const text = `qmanager ${data.version} · tasks are kept ${where} · started `;
  if (line.dataset.shown === text + data.started) return;
  line.dataset.shown = text + data.started;
  fill(line, text, since(data.started));
}

function key(task) {
  return `${task.id} ${task.attempt} ${task.ended}`; // a task that was given another chance ends again
}

function ended(states) {
  const done = states.done ? `${number(states.done)} done` : "";
  const cancelled = states.cancelled ? `${number(states.cancelled)} cancelled` : "";
  return [done, cancelled].filter(Boolean).join(", ");
}

function later(states) {
  const later = states.scheduled + states.blocked;
  return later ? `${number(later)} of them not yet due` : "";
}

function where(data) {
  return data.rpc ? ` --rpc ${data.rpc}` : "";
}
