// Addresses: what follows the # names the view, so that a link to a task is a link.

/** The view that the address names, with what it is about. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, id = ""] = path.split("/");
  if (view === "tasks") return { view, query: new URLSearchParams(query) };
  if (view === "task" && id) return { view, id: decode(id) };
  return { view: "overview" };
}

export function toTask(id) {
  return `#/task/${encodeURIComponent(id)}`;
}

/** The list with these filters; what is empty is left out. */
export function toTasks(filters = {}) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  return query.size ? `#/tasks?${query}` : "#/tasks";
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
