// The frame: one view at a time, as the address says.

import { onAgain } from "./connection.js";
import { fill } from "./dom.js";
import { here } from "./route.js";
import { overview } from "./views/overview.js";
import { task } from "./views/task.js";
import { tasks } from "./views/tasks.js";

const VIEWS = { overview, task, tasks };
const root = document.getElementById("view");
let view = null;

function show() {
  const place = here();
  view?.close();
  fill(root);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === place.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view = VIEWS[place.view](root, place);
  document.title = place.view === "overview" ? "qmanager" : `${place.id ?? "tasks"} – qmanager`;
}

addEventListener("hashchange", () => {
  show();
  scrollTo(0, 0);
  root.focus({ preventScroll: true }); // the keyboard goes on in the new view
});
onAgain(() => view?.again());
show();
