package browser_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/stayauth/stayauth/testserver"
)

// A page with a key: it tells a visitor without one what is missing. The key does not stay in the
// URL, and a reload needs no other.
func TestKey(t *testing.T) {
	srv := &testserver.Server{}
	srv.Page().Key = "sesame"
	w := newServer(t, srv)
	tb := open(t, w.page, desktop)
	tb.until("it asks for the key", `document.querySelector("#notice").textContent.startsWith("The key is wrong") && document.querySelector("#notice").checkVisibility()`)
	tb.maySay("401")
	tb = open(t, w.page+"#sesame", desktop)
	live := `document.querySelector("#link").dataset.state === "live"`
	tb.until("it is live", live)
	if url := eval[string](tb, "location.href"); strings.Contains(url, "sesame") {
		t.Errorf("the key stays in the URL: %s", url)
	}
	tb.run(chromedp.Reload())
	tb.until("it is live again", live)
}

// A website in the same browser can neither read what the page reads nor turn its switches.
func TestForeignSite(t *testing.T) {
	srv := &testserver.Server{}
	w := newServer(t, srv)
	token := srv.Issue("alice")
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><link rel=icon href=data:,><title>a site</title>"))
	}))
	defer site.Close()
	for _, origin := range []string{site.URL, strings.Replace(site.URL, "127.0.0.1", "localhost", 1)} {
		tb := open(t, origin, desktop)
		tb.maySay("blocked by CORS policy|Failed to load resource") // the browser, about what it keeps away
		for _, options := range []string{
			`{method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}, body: '{"do":"revoke","users":["alice"]}'}`,
			`{method: "POST", headers: {"Content-Type": "application/json", "Page-Key": "none"}, body: '{"do":"revoke","users":["alice"]}'}`,
		} {
			eval[string](tb, `window.answer = ""; fetch("`+w.page+`act", `+options+`).then(r => r.type + r.status, e => "failed").then(a => { window.answer = a; }); ""`)
			tb.until("the site has an answer", `window.answer !== ""`)
			if got := eval[string](tb, "window.answer"); got != "failed" && got != "opaque0" {
				t.Errorf("a site got the answer %q", got)
			}
		}
		eval[string](tb, `window.answer = ""; fetch("`+w.page+`events", {headers: {"Page-Key": "none"}}).then(r => r.type + r.status, e => "failed").then(a => { window.answer = a; }); ""`)
		tb.until("the site has an answer", `window.answer !== ""`)
		if got := eval[string](tb, "window.answer"); got != "failed" {
			t.Errorf("a site reads the events: %q", got)
		}
	}
	if status := w.post(token, ""); status != 201 {
		t.Errorf("a site has revoked alice's token: status %d", status)
	}
}
