// The page's link to the server: what happens comes in, and what a person asks for goes out.

// The key comes in the fragment of the URL, which browsers send to no one. It moves to this tab's
// storage at once, so that it stays neither in the address bar nor in the history.
function takeKey() {
  const fragment = location.hash.slice(1);
  if (fragment && fragment !== "timeline") {
    sessionStorage.setItem("key", decodeURIComponent(fragment));
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("key") ?? "";
}

const headers = { "Page-Key": takeKey() || "none" };

/** act turns a switch and returns what the server says. It throws an Error with words for people. */
export async function act(action) {
  let response;
  try {
    response = await fetch("act", {
      method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(action),
    });
  } catch {
    throw new Error("The test server does not answer.");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer.value;
}

/** listen calls got with each message, and stands with how the link stands: live, lost or closed, and why. */
export async function listen(got, stands) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 5000)) {
    try {
      const response = await fetch("events", { headers, cache: "no-store" });
      if (!response.ok) {
        const { error } = await response.json();
        if (response.status === 401 || response.status === 403) {
          stands("closed", error);
          return;
        }
        throw new Error(error);
      }
      stands("live");
      wait = 500;
      await messages(response.body, got);
      stands("lost", "The test server has ended the connection.");
    } catch (e) {
      stands("lost", e instanceof TypeError ? "The test server does not answer." : e.message);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

// messages reads server-sent events, of which the server uses only the data lines.
async function messages(body, got) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) got(JSON.parse(block.slice("data: ".length)));
  }
}
