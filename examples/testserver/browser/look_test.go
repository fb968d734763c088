package browser_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/stayauth/stayauth/testserver"
)

// Everything can be reached and used without a mouse, and the focus can be seen.
func TestKeyboard(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	w := newServer(t, srv)
	srv.Issue("alice")
	srv.Issue("bob")
	tb := open(t, w.page, desktop)
	tb.until("alice has a lane", `!!`+alice+`?.querySelector("[data-do=revoke]")`)
	focus := func(what, is string) {
		t.Helper()
		for range 60 {
			tb.run(chromedp.KeyEvent(kb.Tab))
			if !eval[bool](tb, `(e => e !== document.body && e.matches(":focus-visible") && getComputedStyle(e).outlineStyle !== "none")(document.activeElement)`) {
				t.Fatalf("the focus can't be seen on %s", eval[string](tb, `document.activeElement.outerHTML`))
			}
			if eval[bool](tb, `(e => `+is+`)(document.activeElement)`) {
				return
			}
		}
		t.Fatalf("60 times Tab don't lead to %s", what)
	}
	revoked := func(users string) string {
		return `[...document.querySelectorAll("#tokens tbody tr")].filter(r => r.cells[6].textContent === "revoked").map(r => r.cells[1].textContent).sort().join() === "` + users + `"`
	}
	focus("alice's Revoke", `e.ariaLabel === "Revoke: alice"`)
	tb.run(chromedp.KeyEvent(kb.Enter))
	tb.until("alice is revoked", revoked("alice"))
	focus("bob's box", `e.ariaLabel === "Choose bob"`)
	tb.run(chromedp.KeyEvent(" "))
	eval[any](tb, `document.querySelector("#users-title").scrollIntoView()`)
	tb.run(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(8))) // Shift+Tab: back to alice's
	focus("the token endpoint's switch", `e.id === "token-fails"`)
	tb.run(chromedp.KeyEvent(" "))
	tb.until("it is on", `document.querySelector("#token-fails").checked`)
	focus("the generator", `e.id === "gen-user"`)
	tb.run(chromedp.KeyEvent(kb.Enter))
	tb.until("a token is there", `document.querySelector("#gen-token").value !== "" && document.activeElement.id === "gen-token"`)
}

// No width needs a horizontal scroll, down to a small phone's, whatever the names are.
func TestPhone(t *testing.T) {
	for name, w := range map[string]*world{
		"server": newServer(t, &testserver.Server{TTL: time.Hour}), "guard": newGuard(t, &testserver.Guard{TTL: time.Hour}),
	} {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat("W", 255)
			w.issue(long)
			w.issue("alice")
			w.post("no token", "")
			tb := open(t, w.page, look{width: 360, height: 740})
			tb.until("the lanes are there", `document.querySelectorAll(".lane").length >= 2`)
			tb.generate(long, "token")
			tb.until("all is there", `document.querySelectorAll("#tokens tbody tr").length >= 3`)
			for _, width := range []int64{360, 320, 641, 901, 1240} {
				tb.run(chromedp.EmulateViewport(width, 740))
				if got := eval[int64](tb, "document.documentElement.scrollWidth"); got > width {
					t.Errorf("at a width of %d the page is %d wide: %s", width, got, eval[string](tb,
						`[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 200)).join("\n")`))
				}
			}
		})
	}
}

// contrast is the WCAG contrast of an element's words with what lies behind them.
const contrast = `(selector => {
	const parse = (c) => { const x = document.createElement("canvas").getContext("2d"); x.fillStyle = c; x.fillRect(0, 0, 1, 1); return [...x.getImageData(0, 0, 1, 1).data]; };
	const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
	let e = document.querySelector(selector), ground = e;
	while (parse(getComputedStyle(ground).backgroundColor)[3] < 255 && ground.parentElement) ground = ground.parentElement;
	const a = light(parse(getComputedStyle(e).color)), b = light(parse(getComputedStyle(ground).backgroundColor));
	return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
})`

// Both colour schemes are there, and can be read (WCAG 2.2, level AA: 4.5 to 1).
func TestDarkAndLight(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	w := newServer(t, srv)
	srv.Issue("alice")
	grounds := map[string]bool{}
	for _, dark := range []bool{false, true} {
		tb := open(t, w.page, look{width: 1240, height: 900, dark: dark})
		tb.until("the table is there", `document.querySelectorAll("#tokens tbody tr").length >= 1`)
		grounds[eval[string](tb, `getComputedStyle(document.body).backgroundColor`)] = true
		for _, selector := range []string{
			"h1", "#kind", ".lead", ".lead em", "#verdict", "h2", ".lane-state", ".lane [data-do=revoke]", ".legend", ".legend b", "th", "td",
			".state.valid", ".ledger dt", ".toggle small", "button.primary", "#revoke-all", ".log time", ".none:not([hidden])",
		} {
			tb.until("there is "+selector, "!!document.querySelector(`"+selector+"`)")
			if got := eval[float64](tb, contrast+`(`+"`"+selector+"`"+`)`); got < 4.5 {
				t.Errorf("dark %t: the contrast of %s is %.2f, want 4.5", dark, selector, got)
			}
		}
	}
	if len(grounds) != 2 {
		t.Errorf("both schemes have the same background: %v", grounds)
	}
}

// 10,000 requests a second don't freeze the page: it answers, it says that it shows a sample, and
// what it draws is bounded.
func TestFlood(t *testing.T) {
	srv := &testserver.Server{TTL: time.Hour}
	w := newServer(t, srv)
	tokens := make([]string, 20)
	for i := range tokens {
		tokens[i] = srv.Issue("user" + string(rune('a'+i)))
	}
	tb := open(t, w.page, desktop)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() {
		const batch = 100 // every 10 ms: 10,000 a second, or as many as this machine can
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			if i%batch == 0 {
				<-tick.C
			}
			r := httptest.NewRequest("GET", "/api/v2/app?api_key="+testserver.DefaultKey, http.NoBody)
			r.Header.Set("Authorization", tokens[i%len(tokens)])
			r.Header.Set("Stream-Auth-Type", "jwt")
			srv.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
	tb.until("it samples and says so", `/^showing 1 request in \d/.test(document.querySelector("#sampled").textContent) && document.querySelector("#sampled").checkVisibility()`)
	count := `+document.querySelector("#ledger dd").textContent.replace(/,/g, "")`
	tb.until("5,000 have arrived", count+` > 5000`)
	for range 20 { // each answers, or the browser's time is over
		eval[int](tb, count)
	}
	if n := eval[int](tb, `document.querySelectorAll("*").length`); n > 5000 {
		t.Errorf("the page has %d elements under load, want at most 5000", n)
	}
	if n := eval[int](tb, `document.querySelectorAll(".lane").length`); n != 8 {
		t.Errorf("the page has %d lanes, want 8", n)
	}
	if more := eval[string](tb, `document.querySelector("#more").textContent`); !strings.Contains(more, "12 more are in the table") {
		t.Errorf("of the other users it says %q", more)
	}
	tb.click("#revoke-all") // and it can be used
	tb.until("everyone is revoked", `document.querySelectorAll(".lane [data-state=revoked]").length === 8`)
}
