package live_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver/internal/live"
)

const revoke = `{"do":"revoke","users":["alice"]}`

// Who may come in, and who may not: another machine, a name that another site has pointed here, and
// another site's page.
func TestDoor(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	without := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	host := func(host string) func(*http.Request) {
		return func(r *http.Request) {
			r.Host = host
			r.Header.Set("Origin", "http://"+host)
		}
	}
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	for _, tt := range []struct {
		name, key           string
		with                func(*http.Request)
		page, events, moves int // the statuses
	}{
		{"the page itself", "", nil, 200, 200, 200},
		{"by the name localhost", "", host("localhost:8081"), 200, 200, 200},
		{"by IPv6", "", host("[::1]:8081"), 200, 200, 200},
		{"from the machine's IPv6", "", from("[::1]:999"), 200, 200, 200},
		{"a program, which sends no Sec-Fetch-Site", "", without("Sec-Fetch-Site"), 200, 200, 200},
		{"another machine", "", from("192.0.2.7:999"), 403, 403, 403},
		{"no address", "", from("pipe"), 403, 403, 403},
		{"another name for this machine", "", host("evil.example:8081"), 403, 403, 403},
		{"a name that looks like an address", "", host("127.0.0.1.evil.example"), 403, 403, 403},
		{"no name", "", host(""), 403, 403, 403},
		{"another site", "", header("Sec-Fetch-Site", "cross-site"), 200, 403, 403},
		{"another port of this machine", "", header("Sec-Fetch-Site", "same-site"), 200, 403, 403},
		{"another origin, from an old browser", "", func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "http://127.0.0.1:9999")
		}, 200, 200, 403},
		{"without the header", "", without("Page-Key"), 200, 403, 403},
		{"with the header twice", "", func(r *http.Request) { r.Header.Add("Page-Key", "x") }, 200, 403, 403},

		{"the key", "sesame", header("Page-Key", "sesame"), 200, 200, 200},
		{"the key, from elsewhere", "sesame", func(r *http.Request) {
			host("192.0.2.1:8081")(r)
			from("192.0.2.7:999")(r)
			r.Header.Set("Page-Key", "sesame")
		}, 200, 200, 200},
		{"no key", "sesame", nil, 200, 401, 401},
		{"a part of the key", "sesame", header("Page-Key", "sesam"), 200, 401, 401},
		{"the key from another site", "sesame", func(r *http.Request) {
			r.Header.Set("Page-Key", "sesame")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, 200, 403, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSubject()
			close(s.done) // a stream ends after its first message
			h := live.NewHandler(live.NewFeed(), s, tt.key)
			page := visit(h, "GET", "/", "", tt.with).Code
			events := visit(h, "GET", "/events", "", tt.with).Code
			moves := visit(h, "POST", "/act", revoke, tt.with).Code
			if page != tt.page || events != tt.events || moves != tt.moves {
				t.Errorf("the page %d, the events %d, a switch %d; want %d, %d, %d", page, events, moves, tt.page, tt.events, tt.moves)
			}
			if done := len(s.did) == 1; done != (tt.moves == 200) {
				t.Errorf("the switch has turned: %t", done)
			}
		})
	}
}

// Every answer has the headers, those to strangers too, and none allows another origin anything.
func TestHeaders(t *testing.T) {
	s := newSubject()
	close(s.done)
	h := live.NewHandler(live.NewFeed(), s, "")
	elsewhere := func(r *http.Request) { r.RemoteAddr = "192.0.2.7:999" }
	for _, w := range []interface{ Result() *http.Response }{
		visit(h, "GET", "/", "", nil), visit(h, "GET", "/main.js", "", nil), visit(h, "GET", "/events", "", nil),
		visit(h, "POST", "/act", revoke, nil), visit(h, "OPTIONS", "/act", "", nil),
		visit(h, "GET", "/", "", elsewhere),
	} {
		got := w.Result().Header
		csp := got.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none';", "script-src 'self';", "style-src 'self';", "connect-src 'self';", "frame-ancestors 'none';", "base-uri 'none';", "form-action 'none';"} {
			if !strings.Contains(csp, part) {
				t.Errorf("the policy lacks %s: %s", part, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("the policy is open: %s", csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.Get(name), want)
			}
		}
	}
}

// An action that makes no sense changes nothing, and the answer says what is wrong.
func TestActions(t *testing.T) {
	long := strings.Repeat("u", 256)
	for _, tt := range []struct {
		body   string
		status int
		says   string
	}{
		{revoke, 200, `{"value":"the token"}`},
		{`{"do":"revoke","users":[]}`, 400, "choose 1 to 100 users"},
		{`{"do":"revoke","users":[""]}`, 400, "a user id has 1 to 255 characters"},
		{`{"do":"revoke","users":["` + long + `"]}`, 400, "a user id has 1 to 255 characters"},
		{`{"do":"generate","form":"token"}`, 400, "a token needs a user id"},
		{`{"do":"generate","form":"token","user":"u","validity":-1}`, 400, "the validity must be between"},
		{`{"do":"generate","form":"token","user":"u","validity":1e300}`, 400, "the validity must be between"},
		{`{"do":"clock","offset":1e300}`, 400, "the offset must be between"},
		{`{"do":"fault","fault":"tokenDelay","faults":{"tokenDelay":60001}}`, 400, "the delay must be between"},
		{`{"do":"fault","fault":"apiDelay","faults":{"apiDelay":-1}}`, 400, "the delay must be between"},
		{`{"do":"fault","faults":{"apiFails":true}}`, 400, "there is no such fault"},
		{`{"do":"revoke","users":["alice"],"more":1}`, 400, "this is not the JSON of an action"},
		{`do=revoke`, 400, "this is not the JSON of an action"},
		{`{"do":"` + strings.Repeat("x", 70_000) + `"}`, 400, "this is not the JSON of an action"},
	} {
		s := newSubject()
		w := visit(live.NewHandler(live.NewFeed(), s, ""), "POST", "/act", tt.body, nil)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%.60s: status %d, %s; want %d, %s", tt.body, w.Code, w.Body, tt.status, tt.says)
		}
		if done := len(s.did) == 1; done != (tt.status == 200) {
			t.Errorf("%.60s: the switch has turned: %t", tt.body, done)
		}
	}
	s := newSubject()
	form := func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	if w := visit(live.NewHandler(live.NewFeed(), s, ""), "POST", "/act", revoke, form); w.Code != 415 || len(s.did) > 0 {
		t.Errorf("as text: status %d, %v", w.Code, s.did)
	}
}
