// What the scripts share: where the server is, and how to wait.
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';

export const { BASE, KEY, SECRET } = process.env;

// Node 20 has no WebSocket of its own. This one shows each frame to the Go test, which holds it against the API.
const shown = [];
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.on('message', (frame) => shown.push(control('frame', frame)));
  }
};

// patience is for how long a client waits for an answer: the SDKs' own 3 s pass on a busy machine.
export const patience = 30_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// until waits for condition() to become true, with patience.
export async function until(what, condition) {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(20)) {
    if (await condition()) return;
  }
  assert.fail(`${what} did not happen within ${patience} ms`);
}

// provider returns a token provider that asks the server's token endpoint, and counts how often.
export function provider(user) {
  const ask = async () => {
    ask.calls += 1;
    const response = await fetch(`${BASE}/token`, { method: 'POST', body: JSON.stringify({ user_id: user }) });
    return (await response.json()).token;
  };
  ask.calls = 0;
  return ask;
}

// call makes a bare request as whoever has the token, and returns the API's error code, or 0.
export async function call(token, path = '/api/v2/app', init = {}) {
  const response = await fetch(`${BASE}${path}?api_key=${KEY}`, {
    ...init,
    headers: { Authorization: token, 'stream-auth-type': 'jwt' },
  });
  return (await response.json()).code ?? 0;
}

// control asks the Go test to do something to the server.
export const control = (what, body) => fetch(`${BASE}/control/${what}`, { method: 'POST', body });

// run runs the case that the command line names.
export async function run(cases) {
  await cases[process.argv[2]]();
  await Promise.all(shown);
  process.exit(0); // the SDKs leave timers behind
}
