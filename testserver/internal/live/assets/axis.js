// The axis of the timeline, which stands still: now is always at the same place.

import { html } from "./dom.js";

/** drawAxis labels a view of span ms, of which the share future lies ahead of now. */
export function drawAxis(span, future) {
  const axis = document.getElementById("axis");
  const step = span / (axis.clientWidth < 420 ? 3 : 6);
  const ticks = [];
  for (let t = -span * (1 - future); t <= span * future + 1; t += step) {
    const tick = html("span", Math.abs(t) < 1 ? "now" : "", Math.abs(t) < 1 ? "now" : `${t > 0 ? "+" : "−"}${+(Math.abs(t) / 1000).toFixed(1)} s`);
    tick.style.left = `${((t / span + 1 - future) * 100).toFixed(2)}%`;
    if (t > -span * (1 - future) + 1 && t < span * future - 1) ticks.push(tick);
  }
  axis.replaceChildren(...ticks);
}
