// The tables, the ledger, the verdict and what happened in words.

import { model, now } from "./model.js";
import { at, count, isUser, nameOf, short, span, tell, when } from "./words.js";

const maxRows = 14, maxLines = 14;

export const chosen = new Set(); // users

// A cell is text, or [text, class], or an element.
function fill(id, rows) {
  const body = document.querySelector(`#${id} tbody`);
  const heads = [...document.querySelectorAll(`#${id} th`)].map((th) => [th.textContent.trim(), th.className]);
  rows.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((cell, j) => {
      const td = row.cells[j] ?? row.insertCell();
      td.dataset.label = heads[j][0];
      if (cell instanceof Element) {
        if (td.firstElementChild !== cell) td.replaceChildren(cell);
        return;
      }
      const [text, className] = Array.isArray(cell) ? cell : [cell, ""];
      const wanted = `${heads[j][1]} ${className}`.trim();
      if (td.className !== wanted) td.className = wanted;
      if (td.textContent !== text || td.firstElementChild) td.textContent = text;
    });
  });
  while (body.rows.length > rows.length) body.deleteRow(-1);
  document.getElementById(id).hidden = rows.length === 0;
  document.querySelector(`[data-of=${id}]`).hidden = rows.length > 0;
}

const states = new Map(); // elements, by table and row

function state(key, text) {
  let e = states.get(key);
  if (!e) {
    if (states.size > 500) states.clear();
    states.set(key, (e = document.createElement("span")));
  }
  e.className = `state ${text.split(/[ :]/)[0]}`;
  e.textContent = text;
  return e;
}

const boxes = new Map(); // by user

function box(user) {
  let e = boxes.get(user);
  if (!e) {
    e = document.createElement("input");
    e.type = "checkbox";
    e.ariaLabel = `Choose ${user}`;
    e.addEventListener("change", () => {
      if (e.checked) chosen.add(user);
      else chosen.delete(user);
      drawChosen();
    });
    boxes.set(user, e);
  }
  return e;
}

/** drawChosen makes the buttons usable that need a user. */
export function drawChosen() {
  for (const user of chosen) {
    if (!model.users.has(user)) chosen.delete(user);
  }
  for (const [user, e] of boxes) {
    if (!model.users.has(user)) boxes.delete(user);
    else e.checked = chosen.has(user);
  }
  for (const id of ["revoke-chosen", "undo-chosen", "logout-chosen"]) document.getElementById(id).disabled = chosen.size === 0;
}

/** drawTables draws all of it but the words. */
export function drawTables() {
  const t = now();
  const n = (value) => value.toLocaleString("en");
  fill("users", [...model.users.values()].filter((u) => isUser(u.id)).sort((a, b) => (a.id < b.id ? -1 : 1)).map((u) => [
    box(u.id), u.id, n(u.served), n(u.rejected), n(u.replayed), n(u.failed), u.revoked ? `before ${at(u.revoked)}` : "",
  ]));
  drawChosen();
  const tokens = [...model.tokens.values()].sort((a, b) => b.issued - a.issued || (a.id < b.id ? -1 : 1)).slice(0, maxRows);
  fill("tokens", tokens.map((k) => [
    [short(k.id), "id"], nameOf(k.user), k.mine ? at(k.issued) : "elsewhere", k.ends ? ends(k, t) : "never",
    k.used ? ago(t - k.used) : "never", n(k.uses), state(`t${k.id}`, k.state),
  ]));
  const view = model.view;
  if (!view) return;
  fill("logins", view.logins.map((l) => [
    [l.id, "id"], l.user, l.client || "any", n(l.refreshes), at(l.rotated), state(`l${l.id}`, l.state),
  ]));
  fill("sockets", view.sockets.map((s) => [
    [s.id.slice(0, 8), "id"], s.user || "anonymous", [short(s.token), "id"], at(s.since), count(s.feeds, "feed"),
  ]));
  drawLedger(view);
  drawVerdict(view);
}

const ago = (ms) => (ms < 1500 ? "now" : `${span(ms)} ago`);

function ends(token, t) {
  return token.state === "valid" ? `in ${span(Math.max(0, token.ends - t))}` : when(token.ends, t);
}

function drawLedger(view) {
  const root = document.getElementById("ledger");
  view.ledger.forEach((c, i) => {
    let div = root.children[i];
    if (!div) {
      div = document.createElement("div");
      div.append(document.createElement("dt"), document.createElement("dd"));
      root.append(div);
    }
    div.className = c.bad ? "bad" : "";
    div.title = c.hint;
    div.firstElementChild.textContent = c.name;
    div.lastElementChild.textContent = c.value.toLocaleString("en");
  });
}

function drawVerdict(view) {
  const bad = view.check.length > 0, verdict = document.getElementById("verdict"), list = document.getElementById("violations");
  const word = bad ? `Check: ${count(view.check.length, "violation")}` : "Check: all is well";
  verdict.className = bad ? "verdict bad" : "verdict ok";
  const text = document.getElementById("verdict-word");
  if (text.textContent !== word) text.textContent = word; // it is read aloud, so only if it is new
  list.hidden = !bad;
  if (list.dataset.of !== view.check.join("\n")) {
    list.dataset.of = view.check.join("\n");
    list.replaceChildren(...view.check.map((line) => {
      const li = document.createElement("li");
      li.textContent = line;
      return li;
    }));
  }
}

/** drawWords adds what is new. */
export function drawWords(news) {
  const log = document.getElementById("log");
  for (const [t, kind, words] of tell(news, now()).slice(-maxLines)) {
    const li = document.createElement("li"), time = document.createElement("time");
    time.textContent = at(t);
    li.className = kind;
    li.append(time, words);
    log.prepend(li);
  }
  while (log.children.length > maxLines) log.lastElementChild.remove();
  document.querySelector("[data-of=log]").hidden = log.children.length > 0;
}
