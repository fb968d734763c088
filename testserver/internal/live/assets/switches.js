// The switches: what a person can do to the server.

import { act } from "./link.js";
import { model } from "./model.js";
import { chosen, drawChosen } from "./tables.js";

const $ = (id) => document.getElementById(id);
let quiet;

/** say tells the person something, for a while. */
export function say(words) {
  $("said").textContent = words;
  clearTimeout(quiet);
  quiet = setTimeout(() => { $("said").textContent = ""; }, 6000);
}

let before = Promise.resolve();

/** turn sends an action, after those before it, and tells how it went. */
function turn(action, words) {
  const done = before.then(() => send(action, words));
  before = done;
  return done;
}

async function send(action, words) {
  try {
    const value = await act(action);
    if (words) say(words);
    return value;
  } catch (e) {
    say(e.message);
    drawSwitches(true); // as the server has them
    return undefined;
  }
}

/** buttons makes the buttons of a user's lane. */
export function buttons(user) {
  const div = document.createElement("div");
  div.className = "lane-buttons";
  const button = (what, text, className, words) => {
    const b = document.createElement("button");
    b.textContent = text;
    b.className = className;
    b.dataset.do = what;
    b.ariaLabel = `${text}: ${user}`;
    b.addEventListener("click", () => turn({ do: what, users: [user] }, words));
    div.append(b);
    return b;
  };
  button("revoke", "Revoke", "danger", `The tokens that ${user} has are revoked. Watch the lane.`);
  button("undo", "Undo", "", `What was revoked of ${user}, and has not expired, is valid again.`).hidden = true;
  return div;
}

// names says who was chosen.
function names() {
  const list = [...chosen];
  return list.length > 3 ? `${list.length} users` : list.join(", ");
}

// The switches for what goes wrong, and what the server calls them.
const faults = {
  "token-delay": "tokenDelay", "token-fails": "tokenFails", "token-dead": "tokenDead", "api-delay": "apiDelay", "api-fails": "apiFails",
};

// value is what a person has set: a number in a list, or a checkbox.
const value = (e) => (e.type === "checkbox" ? e.checked : +e.value);

let drawn; // the settings as they were drawn last
const stands = new Map(); // by the id of a switch, how the server had it when it was drawn last

// put shows one switch as the server has it. What a person is about to set stays, unless the server has it otherwise than before.
function put(id, property, value, anew) {
  if (stands.get(id) === value && !anew) return;
  stands.set(id, value);
  $(id)[property] = value;
}

/** drawSwitches shows the switches as the server has them, anew if a person's wish has come to nothing. */
export function drawSwitches(anew = false) {
  const view = model.view;
  if (!view) return;
  const now = JSON.stringify([view.can, view.settings]);
  if (now === drawn && !anew) return;
  drawn = now;
  const can = new Set(view.can), s = view.settings;
  for (const e of document.querySelectorAll("[data-can]")) {
    e.hidden = !can.has(e.dataset.can);
    if (e.tagName === "OPTION") e.disabled = e.hidden;
  }
  $("undo-all").hidden = !s.revoked;
  put("auth-off", "checked", !s.authChecks, anew);
  drawFaults(s.faults, anew);
  put("offset", "value", s.offset / 1000, anew);
}

function drawFaults(f, anew) {
  put("token-delay", "value", f.tokenDelay, anew);
  put("api-delay", "value", f.apiDelay, anew);
  put("token-fails", "checked", f.tokenFails, anew);
  put("token-dead", "checked", f.tokenDead, anew);
  put("api-fails", "checked", f.apiFails, anew);
}

/** start makes the switches work. */
export function start() {
  const on = (id, event, do_) => $(id).addEventListener(event, do_);
  on("revoke-all", "click", () => turn({ do: "revoke-all" }, "The tokens of all users are revoked."));
  on("undo-all", "click", () => turn({ do: "undo-all" }, "What was revoked of everyone, and has not expired, is valid again."));
  const many = (id, do_, words) => on(id, "click", async () => {
    await turn({ do: do_, users: [...chosen] }, words(names()));
    chosen.clear();
    drawChosen();
  });
  many("revoke-chosen", "revoke", (who) => `The tokens of ${who} are revoked.`);
  many("undo-chosen", "undo", (who) => `What was revoked of ${who}, and has not expired, is valid again.`);
  many("logout-chosen", "log-out", (who) => `The logins of ${who} have ended: their refresh tokens are worth nothing.`);
  on("cut-sockets", "click", () => turn({ do: "cut-sockets" }, "All sockets are cut."));
  for (const [id, fault] of Object.entries(faults)) { // one at a time: the others may be shown as they were a moment ago
    on(id, "change", () => turn({ do: "fault", fault, faults: { [fault]: value($(id)) } }, "Done. Watch what the clients do."));
  }
  on("heal", "click", () => {
    // At once: if the last switch was turned a moment ago, the server may never say that it stood otherwise.
    drawFaults({ tokenDelay: 0, apiDelay: 0, tokenFails: false, tokenDead: false, apiFails: false }, true);
    turn({ do: "heal" }, "Nothing goes wrong any more.");
  });
  on("auth-off", "change", () => turn({ do: "auth-checks", on: !$("auth-off").checked },
    $("auth-off").checked ? "Auth checks are disabled: developer tokens are accepted." : "Auth checks are enabled."));
  on("clock", "submit", (e) => {
    e.preventDefault();
    turn({ do: "clock", offset: $("offset").valueAsNumber * 1000 }, "The server's clock is set.");
  });
  on("generator", "submit", async (e) => {
    e.preventDefault();
    const value = await turn({
      do: "generate", user: $("gen-user").value, validity: +$("gen-validity").value, form: $("gen-form").value,
    });
    if (value === undefined) return;
    $("gen-token").value = value;
    $("generated").hidden = false;
    $("gen-token").focus();
    $("gen-token").select();
  });
  on("gen-form", "change", () => { $("gen-validity").disabled = $("gen-form").value !== "token"; });
  on("gen-hide", "click", () => {
    $("gen-token").value = "";
    $("generated").hidden = true;
  });
  on("gen-copy", "click", async () => {
    try {
      await navigator.clipboard.writeText($("gen-token").value);
      say("Copied.");
    } catch { // not over http, except on this machine
      $("gen-token").select();
      say("Press Ctrl+C: the browser lets this page copy nothing.");
    }
  });
}
