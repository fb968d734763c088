// The timeline: a lane for each user. Time runs to the left, and now stands still.

import { drawAxis } from "./axis.js";
import { html, svg } from "./dom.js";
import { current, endOf, loggedOut, model, now, sampling, tokensOf } from "./model.js";
import { isUser, nameOf, short, span as words } from "./words.js";

const maxLanes = 8;
const future = 1 / 3; // of the view lies ahead of now
const rows = [30, 50], rowHeight = 17; // where bars lie
const callY = 14, markY = 84, height = 98;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let span = 30_000; // ms that are shown
let held = null; // the time at which the picture holds still
const lanes = new Map(); // by user

const time = () => held ?? now();

/** show sets how many ms are shown. */
export function show(ms) {
  span = ms;
  drawAxis(span, future);
  draw();
}

/** hold stops the picture, or lets it go on. */
export function hold(on) {
  held = on ? now() : null;
  draw();
}

class Lane {
  constructor(user, buttons) {
    this.user = user;
    this.root = html("section", "lane");
    this.root.dataset.user = user;
    this.title = html("h3", "", nameOf(user));
    this.state = html("p", "lane-state");
    const head = html("div", "lane-head");
    head.append(this.title, this.state);
    if (isUser(user)) head.append(buttons(user));
    this.undo = head.querySelector("[data-do=undo]");
    this.plot = svg("svg", { class: "plot", role: "img", height });
    this.moving = svg("g");
    this.groups = {};
    for (const name of ["pauses", "bars", "calls", "marks"]) {
      this.groups[name] = svg("g");
      this.moving.append(this.groups[name]);
    }
    this.marks = {};
    for (const kind of ["held", "served", "failed", "replayed", "rejected"]) {
      this.marks[kind] = svg("path", { class: `mark ${kind}` });
      this.groups.marks.append(this.marks[kind]);
    }
    this.ahead = svg("rect", { class: "future", y: 0, height });
    this.line = svg("line", { class: "now-line", y1: 0, y2: height });
    this.above = svg("g"); // moves too, and is not faded
    this.groups.labels = this.above;
    this.plot.append(this.moving, this.ahead, this.line, this.above);
    this.root.append(head, this.plot);
    this.kept = { pauses: new Map(), bars: new Map(), calls: new Map(), labels: new Map() };
    this.growing = []; // what ends now, and so grows with each frame
    this.names = []; // of bars, which stay in sight
  }

  // each makes one element for each item, keeps it as long as the item is there, and updates it.
  each(name, items, key, make, update) {
    const before = this.kept[name], after = new Map();
    for (const item of items) {
      const k = key(item);
      let e = before.get(k);
      if (!e) this.groups[name].append((e = make(item)));
      before.delete(k);
      after.set(k, e);
      update(e, item);
    }
    for (const e of before.values()) e.remove();
    this.kept[name] = after;
  }

  // draw makes the picture around the time t, which is where x is 0.
  draw(t) {
    this.width = this.plot.clientWidth || 600;
    this.scale = this.width / span;
    this.nowX = this.width * (1 - future);
    this.zero = t;
    const left = t - span * (1 - future), right = t + span * future;
    const x = (ms) => (Math.min(ms, right + span) - t) * this.scale;
    const user = model.users.get(this.user);
    const events = model.events.filter((e) => e.u === this.user && e.t + (e.d ?? 0) > left - 1000 && e.t < right);
    this.growing = [];
    this.names = [];
    this.drawPauses(events, user, x);
    this.drawBars(left, right, x);
    this.drawCalls(events, user, x);
    this.drawMarks(events, x);
    for (const [e, name, value] of [[this.ahead, "x", this.nowX], [this.ahead, "width", this.width - this.nowX],
      [this.line, "x1", this.nowX], [this.line, "x2", this.nowX]]) e.setAttribute(name, value);
    this.say(user, events);
    this.move(t);
  }

  drawPauses(events, user, x) {
    const pauses = events.filter((e) => e.k === "pause").map((e) => ({ key: e.q, from: e.t, to: e.t + (e.d ?? 0), words: e.w }));
    if (user?.paused) pauses.push({ key: "open", from: user.paused, open: true, words: user.told ? "requests wait" : "no request comes (inferred)" });
    this.each("pauses", pauses, (p) => p.key, () => {
      const g = svg("g");
      g.append(svg("rect", { class: "pause", y: 0, height }), svg("text", { class: "pause-name", y: height - 30 }), svg("title"));
      return g;
    }, (g, p) => {
      const [rect, text, title] = g.children;
      const wide = Math.max(3, x(p.open ? time() : p.to) - x(p.from));
      rect.setAttribute("x", x(p.from));
      rect.setAttribute("width", wide);
      if (p.open) this.growing.push([rect, x(p.from)]);
      title.textContent = p.open ? p.words : `Pause of ${words(p.to - p.from)}: ${p.words}`;
      text.setAttribute("x", x(p.from) + 5);
      const label = p.open ? p.words : p.words.replace(/^inferred.*/, "inferred");
      text.textContent = wide > label.length * 6.5 + 10 ? label : "";
    });
  }

  drawBars(left, right, x) {
    const tokens = tokensOf(this.user).filter((t) => t.state !== "wrong signature" && endOf(t) > left - 2000 || t.ends > left);
    const free = rows.map(() => -Infinity), lastOf = [], newest = current(this.user);
    for (const t of tokens) { // each in the first row that is free, or in the one that is free soonest
      let row = free.findIndex((end) => end <= t.issued + 1);
      if (row < 0) row = free.indexOf(Math.min(...free));
      free[row] = t.state === "revoked" ? Math.max(t.ends || endOf(t), endOf(t)) : endOf(t);
      t.row = row;
      t.next = Infinity; // when the next bar in the row begins
      if (lastOf[row]) lastOf[row].next = t.issued;
      lastOf[row] = t;
    }
    const planned = (t) => x(Math.min(t.ends || right + span, t.next));
    this.each("bars", tokens, (t) => t.id, (t) => {
      const g = svg("g");
      g.dataset.token = t.id;
      g.append(svg("path", { class: "ghost" }), svg("rect", { class: "bar", rx: 4, height: rowHeight }), svg("path", { class: "cut" }),
        svg("text", { class: "bar-name" }), svg("title"));
      return g;
    }, (g, t) => {
      const [ghost, bar, cut, name, title] = g.children;
      const y = rows[t.row], from = x(Math.max(t.issued, left - span)), to = x(endOf(t)), revoked = t.state === "revoked";
      g.dataset.state = t.state;
      g.dataset.end = endOf(t);
      bar.setAttribute("x", from);
      bar.setAttribute("y", y);
      bar.setAttribute("width", Math.max(2, to - from));
      const old = t !== newest;
      bar.setAttribute("class", old ? "bar old" : "bar");
      name.setAttribute("class", old ? "bar-name old" : "bar-name");
      name.setAttribute("y", y + 12.5);
      name.textContent = short(t.id);
      this.names.push([name, from, to, old]);
      ghost.setAttribute("d", revoked && planned(t) > to + 4 ? `M${to} ${y + 0.5}H${planned(t)}v${rowHeight - 1}H${to}` : "");
      cut.setAttribute("d", revoked ? `M${to} ${y - 3}l-2.500 5.750 5 5.750-5 5.750 2.500 5.750` : "");
      title.textContent = `Token ${short(t.id)}: ${t.state}`;
    });
    // What a revoked token would have lived to has its words at the far end, out of the way of the next token's arrow.
    const farEnd = (t) => Math.min(planned(t), this.width - this.nowX);
    const cut = tokens.filter((t) => t.state === "revoked" && farEnd(t) > x(endOf(t)) + 74);
    this.each("labels", cut, (t) => t.id, () => svg("text", { class: "cut-name", "text-anchor": "end" }), (e, t) => {
      e.setAttribute("x", farEnd(t) - 8);
      e.setAttribute("y", rows[t.row] + 12.5);
      e.textContent = "revoked";
    });
  }

  drawCalls(events, user, x) {
    const calls = events.filter((e) => e.k === "call").map((e) => ({ key: e.q, from: e.t, to: e.t + (e.d ?? 0), status: e.s, token: e.i, words: e.w }));
    if (user?.calling) calls.push({ key: "open", from: user.calling, open: true });
    this.each("calls", calls, (c) => c.key, () => {
      const g = svg("g");
      g.append(svg("path", { class: "halo" }), svg("path"), svg("title")); // the halo keeps it apart from a bar that it crosses
      return g;
    }, (g, c) => {
      const [halo, path, title] = g.children;
      const failed = !c.open && c.status !== 200;
      path.setAttribute("class", failed ? "call failed" : "call");
      const from = x(c.from);
      if (c.open) {
        this.growing.push([path, from, (end) => `M${from} ${callY - 5}v5H${end}m-5 -4 5 4-5 4`]);
        title.textContent = "The client asks for a token";
        halo.setAttribute("d", "");
        return;
      }
      const to = Math.max(x(c.to), from + 6), top = rows[model.tokens.get(c.token)?.row ?? 0] - 2;
      const end = failed ? `m-4 -4 8 8m0-8-8 8` : `V${top}m-4 -5 4 5 4-5`;
      path.setAttribute("d", `M${from} ${callY - 5}v5H${to}${end}`);
      halo.setAttribute("d", `M${to} ${callY}V${failed ? callY : top - 1}`);
      title.textContent = failed ? `The token endpoint answered ${c.status || "nothing"} after ${words(c.to - c.from)}` :
        `The client got a token after ${words(c.to - c.from)}`;
    });
  }

  drawMarks(events, x) {
    const d = { held: "", served: "", failed: "", replayed: "", rejected: "" };
    for (const e of events) {
      if (!(e.k in d)) continue;
      const at = x(e.t + (e.d ?? 0)).toFixed(1);
      switch (e.k) {
        case "served": d.served += `M${at} ${markY - 6}v12`; break;
        case "rejected": d.rejected += `M${at} ${markY}m-4.500-4.500 9 9m0-9-9 9`; break;
        case "replayed": d.replayed += `M${at} ${markY}m-4-5.500v11l9-5.500z`; break;
        case "failed": d.failed += `M${at} ${markY}m-4-4h8v8h-8z`; break;
        case "held": {
          const from = x(e.t);
          d.held += `M${from.toFixed(1)} ${markY - 14}m-3.500 0a3.500 3.500 0 1 0 7 0 3.500 3.500 0 1 0-7 0m7 0H${Math.max(+at, from + 3.5).toFixed(1)}`;
        }
      }
    }
    for (const [kind, path] of Object.entries(this.marks)) path.setAttribute("d", d[kind]);
  }

  // say writes how the user stands, in words.
  say(user, events) {
    const token = current(this.user), last = tokensOf(this.user).at(-1);
    let text, kind = "";
    if (!token && loggedOut(this.user)) [text, kind] = ["the login has ended", "bad"]; // whoever waits does so in vain
    else if (user?.paused) [text, kind] = [`waiting for ${words(Math.max(0, now() - user.paused))}`, "wait"];
    else if (token) text = token.ends ? `token ${short(token.id)} ends in ${words(Math.max(0, token.ends - now()))}` : `token ${short(token.id)} has no end`;
    else if (last) [text, kind] = [last.state === "revoked" ? "the token is revoked" : `the token is ${last.state}`, last.state === "expired" ? "" : "bad"];
    else text = isUser(this.user) ? "no token" : "requests without a user's token";
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.className = `lane-state ${kind}`;
    if (this.undo) this.undo.hidden = !user?.revoked;
    const n = (k) => events.filter((e) => e.k === k).length;
    this.plot.setAttribute("aria-label", `Timeline of ${nameOf(this.user)}: ${text}. In sight: ${n("served")} requests served, ` +
      `${n("rejected")} rejected, ${n("held")} held back, ${n("replayed")} sent again, ${n("failed")} failed.`);
  }

  // move puts the picture where it belongs at the time t.
  move(t) {
    const shift = this.nowX - (t - this.zero) * this.scale;
    for (const g of [this.moving, this.above]) g.setAttribute("transform", `translate(${shift.toFixed(2)} 0)`);
    const end = this.nowX - shift;
    for (const [e, from, path] of this.growing) {
      if (path) e.setAttribute("d", path(Math.max(end, from + 6)));
      else e.setAttribute("width", Math.max(3, end - from));
    }
    for (const [e, from, to, old] of this.names) {
      const at = Math.max(from, -shift) + 6;
      e.setAttribute("x", at);
      e.setAttribute("visibility", Math.min(to, old ? to : Infinity) - at > 30 ? "visible" : "hidden");
    }
  }
}

/** start draws from now on. buttons makes a user's buttons. */
export function start(buttons) {
  makeButtons = buttons;
  drawAxis(span, future);
  new ResizeObserver(() => { drawAxis(span, future); draw(); }).observe(document.getElementById("lanes"));
  const frame = () => {
    if (!calm.matches && held === null) for (const lane of lanes.values()) lane.move(now());
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  let n = 0;
  setInterval(() => { // one who wants little motion gets a step a second
    if (n++ % 4 === 0 || !calm.matches) draw();
  }, 250);
}

let makeButtons = () => new DocumentFragment();

/** draw draws all lanes anew. */
export function draw() {
  const t = time(), root = document.getElementById("lanes");
  const users = [...model.users.values()].sort((a, b) => b.seen - a.seen);
  const shown = new Set(users.slice(0, maxLanes).map((u) => u.id));
  // Lanes keep their places: they are in the order of their names, users first.
  const order = [...shown].sort((a, b) => isUser(b) - isUser(a) || (a < b ? -1 : 1));
  for (const [user, lane] of lanes) {
    if (!shown.has(user)) {
      lane.root.remove();
      lanes.delete(user);
    }
  }
  order.forEach((user, i) => {
    let lane = lanes.get(user);
    if (!lane) lanes.set(user, (lane = new Lane(user, makeButtons)));
    if (root.children[i] !== lane.root) root.insertBefore(lane.root, root.children[i] ?? null);
    lane.draw(t);
  });
  document.getElementById("empty").hidden = shown.size > 0;
  const more = document.getElementById("more"), rest = users.length - shown.size;
  more.hidden = rest === 0;
  more.textContent = `Here are the ${maxLanes} that were active last. ${rest} more are in the table of users.`;
  const n = sampling(span), sampled = document.getElementById("sampled");
  sampled.hidden = n < 1.05;
  sampled.textContent = `showing 1 request in ${n < 10 ? n.toFixed(1).replace(/\.0$/, "") : Math.round(n)}`;
}
