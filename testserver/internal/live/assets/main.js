// The page: it joins the link to the picture.

import { listen } from "./link.js";
import { model, take } from "./model.js";
import * as switches from "./switches.js";
import { drawTables, drawWords } from "./tables.js";
import * as timeline from "./timeline.js";

const $ = (id) => document.getElementById(id);

switches.start();
timeline.start(switches.buttons);
$("span").addEventListener("change", (e) => timeline.show(+e.target.value));
$("freeze").addEventListener("click", (e) => {
  const on = e.target.getAttribute("aria-pressed") !== "true";
  e.target.setAttribute("aria-pressed", on);
  timeline.hold(on);
});
setInterval(drawTables, 500); // times pass even if nothing happens

listen((message) => {
  const news = take(message);
  drawWords(news);
  if (message.view) {
    $("kind").textContent = model.view.kind === "guard" ? "a guard with its OAuth 2.0 endpoint" : "Stream's API, on this machine";
    document.body.dataset.kind = model.view.kind;
    switches.drawSwitches();
  }
  drawTables();
}, (state, why) => {
  $("link").dataset.state = state === "live" ? "live" : "lost";
  $("link-word").textContent = { live: "live", lost: "connection lost, trying again", closed: "closed" }[state];
  $("notice").hidden = state === "live";
  $("notice").textContent = why ?? "";
});
