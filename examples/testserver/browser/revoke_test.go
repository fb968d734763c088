package browser_test

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A gate holds up the calls of the token endpoint while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil: it is open
}

func (g *gate) fault(r *http.Request) testserver.Fault {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil && r.URL.Path == "/token" {
		body, _ := io.ReadAll(r.Body) // else net/http does not notice that the client has gone
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-shut:
		case <-r.Context().Done(): // the client has given up, and asks again: one call is held up at a time
			return testserver.Fault{Hang: true}
		}
	}
	return testserver.Fault{}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
	}
	g.shut = nil
}

const (
	alice = `document.querySelector("[data-user=alice]")`
	state = alice + `.querySelector(".lane-state").textContent`
)

// What a person sees who presses Revoke: the bar ends, requests wait, one new token comes, and they
// go on. No request fails.
func TestRevoke(t *testing.T) {
	g := &gate{}
	w := newServer(t, &testserver.Server{TTL: time.Hour, Fault: g.fault})
	t.Cleanup(g.open)
	tb := open(t, w.page, desktop)
	w.traffic("alice", 3, 30*time.Millisecond)
	tb.until("alice's token is valid", `!!`+alice+` && /^token .* ends in/.test(`+state+`)`)
	tb.until("there is one bar, and it is whole", alice+`.querySelectorAll("[data-state=valid]").length === 1`)

	g.close()
	tb.click("[data-user=alice] [data-do=revoke]")
	tb.until("the bar ends", alice+`.querySelectorAll("[data-state=revoked]").length === 1`)
	if end := eval[float64](tb, alice+`.querySelector("[data-state=revoked]").dataset.end - Date.now()`); end > 1000 {
		t.Errorf("the revoked token's bar ends %.0f ms from now: it should have ended", end)
	}
	tb.until("requests wait", state+`.startsWith("waiting")`)
	tb.until("they are seen as rejected", alice+`.querySelector(".mark.rejected").getAttribute("d") !== ""`)
	tb.until("the pause is shaded", alice+`.querySelectorAll("rect.pause").length >= 1`)

	g.open()
	tb.until("a new token comes", alice+`.querySelectorAll("[data-state=valid]").length === 1`)
	tb.until("the rejected requests are sent again", alice+`.querySelector(".mark.replayed").getAttribute("d") !== ""`)
	tb.until("it tells how many had waited", `[...`+alice+`.querySelectorAll("title")].some(e => /Pause of .*: 3 requests waited/.test(e.textContent))`)
	tb.until("they were held back", alice+`.querySelector(".mark.held").getAttribute("d") !== ""`)
	tb.until("the log tells of it", `/alice: token .... was revoked/.test(document.querySelector("#log").textContent)`)
	tb.until("the verdict is good", `document.querySelector("#verdict").className === "verdict ok"`)

	tb.click("[data-user=alice] [data-do=undo]")
	tb.until("the old token is valid again", alice+`.querySelectorAll("[data-state=valid]").length === 2`)
	if err := w.srv.Check(); err != nil {
		t.Error(err)
	}
	if n := w.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, w.sent.Load())
	}
}

// Several users at once, and all of them.
func TestRevokeSeveral(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	w := newServer(t, srv)
	tb := open(t, w.page, desktop)
	for _, user := range []string{"alice", "bob", "carol"} {
		srv.Issue(user)
	}
	revoked := func(users string) string {
		return `[...document.querySelectorAll("#tokens tbody tr")].filter(r => r.cells[6].textContent === "revoked").map(r => r.cells[1].textContent).sort().join() === "` + users + `"`
	}
	tb.until("the users are there", `document.querySelectorAll("#users tbody tr").length === 3`)
	tb.click(`#users input[aria-label="Choose alice"]`)
	tb.click(`#users input[aria-label="Choose carol"]`)
	tb.click("#revoke-chosen")
	tb.until("two are revoked", revoked("alice,carol"))
	tb.click("#revoke-all")
	tb.until("all are revoked", revoked("alice,bob,carol"))
	tb.click("#undo-all")
	tb.until("two are left", revoked("alice,carol"))
	tb.click(`#users input[aria-label="Choose alice"]`)
	tb.click("#undo-chosen")
	tb.until("one is left", revoked("carol"))
}

// The verdict turns red, with its words.
func TestVerdict(t *testing.T) {
	w := newServer(t, &testserver.Server{})
	tb := open(t, w.page, desktop)
	tb.until("all is well", `document.querySelector("#verdict-word").textContent === "Check: all is well"`)
	token := w.srv.(*testserver.Server).Issue("alice")
	for range 2 {
		if status := w.post(token, "same"); status != 201 {
			t.Fatalf("status %d, want 201", status)
		}
	}
	tb.until("there is a violation", `document.querySelector("#verdict-word").textContent === "Check: 1 violation"`)
	tb.until("it is red", `document.querySelector("#verdict").className === "verdict bad"`)
	tb.until("it is told", `/"same" .*took effect 2 times/.test(document.querySelector("#violations").innerText)`)
	if live := eval[string](tb, `document.querySelector("#verdict").ariaLive`); live != "polite" {
		t.Errorf("aria-live of the verdict is %q, want polite", live)
	}
}

// A guard's page shows the logins at its token endpoint, and a refresh token that is used twice.
func TestGuard(t *testing.T) {
	guard := &testserver.Guard{TTL: time.Hour}
	w := newGuard(t, guard)
	tb := open(t, w.page, desktop)
	w.traffic("alice", 2, 50*time.Millisecond)
	tb.until("alice's login is open", `/alice.*open/.test(document.querySelector("#logins tbody").innerText.replace(/\s+/g, " "))`)
	tb.click("[data-user=alice] [data-do=revoke]")
	tb.until("the bar ends", alice+`.querySelectorAll("[data-state=revoked]").length === 1`)
	tb.until("a new token comes", alice+`.querySelectorAll("[data-state=valid]").length === 1`)

	stolen := guard.LogIn("mallory")
	for range 2 {
		w.refresh(stolen)
	}
	tb.until("the reuse is told", `/mallory.*ended: a refresh token was used twice/.test(document.querySelector("#logins tbody").innerText.replace(/\s+/g, " "))`)
	tb.until("the call that failed is told", `/mallory: no token, the token endpoint answered 400 \(refresh_token: the refresh token was used before/.test(document.querySelector("#log").innerText)`)
	if seen := eval[bool](tb, `document.querySelector("#auth-off").checkVisibility() || document.querySelector("#cut-sockets").checkVisibility()`); seen {
		t.Error("the page has switches that a guard does not have")
	}
	tb.click(`#users input[aria-label="Choose alice"]`)
	tb.click("#logout-chosen")
	tb.until("alice's login has ended", `/alice.*ended/.test(document.querySelector("#logins tbody").innerText.replace(/\s+/g, " "))`)
	tb.until("alice's lane says so", state+` === "the login has ended"`)
}

// A client that says nothing: its pause is inferred, and called so.
func TestInferred(t *testing.T) {
	w := newServer(t, &testserver.Server{TTL: time.Hour})
	srv := w.srv.(*testserver.Server)
	tb := open(t, w.page, desktop)
	old := srv.Issue("alice")
	w.post(old, "1")
	srv.Revoke("alice")
	if status := w.post(old, "2"); status != 401 {
		t.Fatalf("status %d, want 401", status)
	}
	tb.until("a pause is inferred", `[...(`+alice+`?.querySelectorAll("title") ?? [])].some(e => e.textContent === "no request comes (inferred)")`)
	w.post(srv.Issue("alice"), "2")
	tb.until("it has ended", `[...`+alice+`.querySelectorAll("title")].some(e => /Pause of .*: inferred/.test(e.textContent))`)
}
