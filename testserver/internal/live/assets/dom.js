// Elements.

const svgns = "http://www.w3.org/2000/svg";

/** svg makes an element of a picture. */
export function svg(name, attributes = {}) {
  const e = document.createElementNS(svgns, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

/** html makes an element with words. */
export function html(name, className, text = "") {
  const e = document.createElement(name);
  e.className = className;
  e.textContent = text;
  return e;
}
