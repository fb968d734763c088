// What the page knows. Its memory is bounded, like the server's.

const keep = 65_000; // ms of events, a little more than the longest view
const maxEvents = 6000;
const maxPerUser = 24; // tokens

export const model = {
  users: new Map(), // by id
  tokens: new Map(), // by id
  events: [], // oldest first
  view: null,
  counted: [], // {t, seen, shown}: how many requests each message stands for
};

let clock = null; // the server's clock minus performance.now()
let last = null; // the last counts

/** now is the time by the server's clock, in ms since 1970. */
export const now = () => (clock === null ? Date.now() : performance.now() + clock);

/** take adds a message from the server and returns what is new in it. */
export function take(message) {
  const offset = message.now - performance.now();
  // A message that was on its way for long makes the offset too small. A clock that was set is another matter.
  clock = clock === null || Math.abs(offset - clock) > 2000 ? offset : Math.max(offset, clock - 0.5);
  const news = { events: message.events ?? [], met: [], revoked: [] };
  for (const token of message.tokens ?? []) {
    const before = model.tokens.get(token.id);
    if (!before) news.met.push(token);
    if (token.state === "revoked" && before?.state !== "revoked") news.revoked.push(token);
    model.tokens.set(token.id, token);
  }
  if (message.users) model.users = new Map(message.users.map((u) => [u.id, u]));
  if (message.view) model.view = message.view;
  if (message.counts) {
    const [seen, shown] = message.counts;
    if (last) model.counted.push({ t: message.now, seen: seen - last[0], shown: shown - last[1] });
    last = message.counts;
  }
  model.events.push(...news.events);
  forget(message.now);
  return news;
}

function forget(time) {
  const old = (list, when) => list.findIndex((x) => when(x) >= time - keep);
  let n = old(model.events, (e) => e.t + (e.d ?? 0));
  n = Math.max(n === -1 ? model.events.length : n, model.events.length - maxEvents);
  model.events.splice(0, n);
  n = old(model.counted, (c) => c.t);
  model.counted.splice(0, n === -1 ? model.counted.length : n);
  const perUser = new Map();
  for (const token of [...model.tokens.values()].reverse()) { // the newest first
    const count = (perUser.get(token.user) ?? 0) + 1;
    perUser.set(token.user, count);
    if (count > maxPerUser || !model.users.has(token.user)) model.tokens.delete(token.id);
  }
}

/** sampling says in how many requests one is shown, of those of the last so many ms. */
export function sampling(span) {
  let seen = 0, shown = 0;
  for (const c of model.counted) {
    if (c.t < now() - span) continue;
    seen += c.seen;
    shown += c.shown;
  }
  return shown === 0 ? 1 : seen / shown;
}

/** tokensOf returns a user's tokens, the oldest first. */
export const tokensOf = (user) => [...model.tokens.values()].filter((t) => t.user === user).sort((a, b) => a.issued - b.issued);

/** endOf is when a token's life ended, or will. */
export const endOf = (token) => token.cut || token.ends || Infinity;

/** current is the token that a user has now, or nothing. */
export const current = (user) => tokensOf(user).filter((t) => t.state === "valid").at(-1);

/** loggedOut reports whether a user had logins, and all have ended. */
export const loggedOut = (user) => {
  const logins = model.view?.logins.filter((l) => l.user === user) ?? [];
  return logins.length > 0 && logins.every((l) => l.state.startsWith("ended"));
};
