// The only place that makes elements. Text goes in as text: nothing here, or anywhere else, writes HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on...` are listeners, other attributes are set where they are neither null nor false. */
export function h(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function svg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

/** Puts `children` in place of what is in `node`. */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
}

/** Sets a text where it differs: what stays is neither announced nor loses its selection. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows `items` as the children of `parent`, each by the element that it had before, so that focus and selection
 * stay. `make` makes one, `update` (if given) brings it up to date. */
export function keep(parent, items, key, make, update) {
  const had = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let node = had.get(name);
    if (node) had.delete(name);
    else {
      node = make(item);
      node.dataset.key = name;
    }
    if (update) update(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  for (const node of had.values()) node.remove();
}

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...flat(children));
  return node;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
