// Words for people.

/** nameOf is how a lane is called. */
export function nameOf(user) {
  if (user === "\u0000server") return "a server";
  if (user === "\u0000unknown") return "no valid identity";
  return user;
}

/** isUser is false for the lanes that are no user's. */
export const isUser = (user) => !user.startsWith("\u0000");

/** short is how a token is called. */
export const short = (id) => id.slice(0, 4);

/** span says a duration in ms. */
export function span(ms) {
  const sign = ms < 0 ? "-" : "";
  ms = Math.abs(ms);
  if (ms < 1000) return `${sign}${Math.round(ms)} ms`;
  if (ms < 10_000) return `${sign}${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${sign}${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${sign}${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${sign}${Math.round(ms / 3_600_000)} h`;
  return `${sign}${Math.round(ms / 86_400_000)} days`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** at says a time of day. */
export const at = (ms) => clock.format(ms);

/** when says a time, with its day if that is not today. */
export function when(ms, now) {
  if (!ms) return "never";
  return Math.abs(ms - now) < 43_200_000 ? at(ms) : day.format(ms);
}

/** count says how many. */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** tell makes lines of what is new: [class, user, words]. */
export function tell(news, now) {
  const lines = [];
  for (const t of news.revoked) {
    lines.push([t.cut || now, "revoked", `${nameOf(t.user)}: token ${short(t.id)} was revoked`]);
  }
  for (const t of news.met) {
    const life = t.ends ? `valid for ${span(Math.max(0, t.ends - t.issued))}` : "valid for ever";
    lines.push([t.issued, "token", `${nameOf(t.user)}: ${t.mine ? "new token" : "token seen for the first time,"} ${short(t.id)}${t.mine ? "," : ""} ${life}`]);
  }
  const groups = new Map(); // of events of one user and kind
  for (const e of news.events) {
    if (e.k === "served" || e.k === "held") continue;
    const key = `${e.u} ${e.k} ${e.k === "call" || e.k === "pause" ? e.q : e.s}`;
    const group = groups.get(key);
    if (group) group.n++;
    else groups.set(key, { ...e, n: 1 });
  }
  for (const e of groups.values()) {
    const who = nameOf(e.u), end = e.t + (e.d ?? 0);
    switch (e.k) {
      case "rejected": lines.push([end, "rejected", `${who}: ${count(e.n, "request")} rejected`]); break;
      case "replayed": lines.push([end, "replayed", `${who}: ${count(e.n, "request")} sent again, and served`]); break;
      case "failed": lines.push([end, "failed", `${who}: ${count(e.n, "request")} ${e.s ? `answered with ${e.s}` : "cut off"}`]); break;
      case "pause": lines.push([end, "pause", `${who}: a pause of ${span(e.d ?? 0)}; ${e.w}`]); break;
      case "call":
        if (e.s !== 200) lines.push([end, "failed", `${who}: no token, the token endpoint ${e.s ? `answered ${e.s}` : "cut the call off"}${reason(e.w)}`]);
        break;
    }
  }
  return lines.sort((a, b) => a[0] - b[0]);
}

const reason = (w) => (w ? ` (${w})` : "");
