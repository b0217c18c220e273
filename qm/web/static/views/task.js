// One task: what it is, what became of it, and every attempt.

import { fill, h } from "../dom.js";
import { Feed, ask } from "../feed.js";
import { bytes, duration, many, moment, number } from "../format.js";
import { badge, command, empty } from "../parts.js";
import { toTasks } from "../route.js";
import { since } from "../time.js";

const ENDED = ["done", "failed", "cancelled"];

export function task(root, { id }) {
  const place = h("div", {}, h("p", { class: "detail" }, "Reading …"));
  root.append(h("p", { class: "back" }, h("a", { href: toTasks() }, "← Tasks")), place);
  const url = `/api/tasks/${encodeURIComponent(id)}`;
  let shown = "";
  const feed = new Feed(url, (data) => {
    const news = JSON.stringify(data);
    if (news === shown) return;
    shown = news;
    fill(place, head(data.task), facts(data.task), payloads(data.task), attempts(url, data));
    if (ENDED.includes(data.task.state)) feed.close(); // nothing of it changes any more
  }, (error) => fill(place, refusal(id, error)));
  return { close: () => feed.close(), again: () => feed.now() };
}

function head(task) {
  return [
    h("h1", {}, task.type, " ", badge(task.state), task.cancelling && h("span", { class: "badge cancelled" }, "being cancelled")),
    h("p", { class: "id whole" }, task.id),
    task.reason && h("p", { class: `reason ${task.state}` }, task.reason),
  ];
}

function facts(task) {
  const took = task.ended != null && task.started != null ? duration(task.ended - task.started) : null;
  const rows = [
    ["Added", time(task.added)],
    ["Due", time(task.due)],
    ["Started", time(task.started)],
    ["Ended", time(task.ended)],
    ["Took", took],
    ["Worker", task.worker],
    ["Progress", task.progress == null ? null : `${Math.round(task.progress * 100)} %`],
    ["Note", task.note],
    ["Attempt", task.attempt ? number(task.attempt) : null],
    ["Failures", troubles(task)],
    ["Priority", task.priority ? String(task.priority) : null],
    ["Time limit", task.timeout == null ? null : duration(task.timeout)],
    ["Forgotten", time(task.expires)],
  ].filter(([, value]) => value != null && value !== "");
  return h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function payloads(task) {
  return h("div", { class: "pair" },
    block("Input", task.input, bytes(task.input_size)),
    task.output != null && block("Output", task.output, bytes(task.output_size)));
}

function attempts(url, data) {
  if (!data.attempts.length) return null;
  const list = h("ol", { class: "attempts" }, data.attempts.map(attempt));
  let oldest = data.attempts[data.attempts.length - 1].attempt;
  const more = h("button", { type: "button", onclick: async () => {
    more.disabled = true;
    try {
      const { status, data: older } = await ask(`${url}?before=${oldest}`);
      if (status !== 200) return;
      list.append(...older.attempts.map(attempt));
      more.hidden = !older.more;
      oldest = older.attempts.at(-1)?.attempt ?? oldest;
    } catch {
      more.textContent = "No answer. Try again";
    } finally {
      more.disabled = false;
    }
  } }, "Older attempts");
  more.hidden = !data.more;
  return h("section", {}, h("h2", {}, "Attempts"), list, more);
}

function attempt(one) {
  const facts = [
    `took ${duration(one.ended - one.started)}`,
    one.worker && `on ${one.worker}`,
    one.pid != null && `process ${one.pid}`,
    one.exitcode != null && `exit code ${one.exitcode}`,
    one.peak_memory != null && `at most ${bytes(one.peak_memory)} of memory`,
  ].filter(Boolean);
  return h("li", {},
    h("h3", {}, `Attempt ${one.attempt} `, badge(one.outcome), " ", since(one.ended)),
    h("p", { class: "detail" }, facts.join(" · ")),
    one.cause && h("p", { class: "reason" }, one.cause),
    one.error && h("p", { class: "error" }, h("b", {}, one.error.type), one.error.message && `: ${one.error.message}`),
    one.error?.traceback && block("Traceback", one.error.traceback),
    one.log && block("Output and log", one.log));
}

function block(title, text, detail) {
  return h("figure", { class: "block" },
    h("figcaption", {}, title, detail && h("span", { class: "detail" }, detail)),
    h("pre", { tabindex: "0", role: "region", "aria-label": title }, text));
}

function troubles(task) {
  const found = [
    task.failures && many(task.failures, "failure") + (task.attempts ? ` of ${task.attempts}` : ""),
    task.crashes && many(task.crashes, "crash", "crashes"),
    task.lost && `${number(task.lost)} lost`,
  ].filter(Boolean);
  return found.join(", ");
}

function time(at) {
  return at == null ? null : [moment(at), " ", at * 1000 <= Date.now() && h("span", { class: "detail" }, since(at))];
}

function refusal(id, error) {
  if (error.status === 403) return empty(error.message, h("p", {}, command(`qmclient show ${id}`)));
  return empty(error.message ?? "This cannot be shown.", error.hint && h("p", {}, error.hint));
}
