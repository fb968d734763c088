package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// The tests here are of what a review that set out to break the rebuilt core has found. Each failed once.

// Guarantee 13: each classifier of AnyOf sees the whole body, whoever has read it before.
func TestG13_AnyOfReadsTheBodyForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.serve = func(req *http.Request) *http.Response {
			if s.accepts(req) {
				return nil
			}
			return respond(req, 401, `{"error":{"status":"UNAUTHENTICATED"}}`)
		}
		tr := through(t, s)
		tr.IsRejected = transport.AnyOf(transport.BodyCode("code", 40), transport.BodyCode("error.code", 1, 2), transport.BodyCode("error.status", "UNAUTHENTICATED"))
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
	})
}

// Guarantee 14: a pattern stands for one label, whatever script its full stops are in.
func TestG14_OtherFullStops(t *testing.T) {
	for _, dot := range []string{"\u3002", "\uFF0E", "\uFF61", "%E3%80%82"} {
		l := &listener{}
		tr := &transport.Transport{Provider: returning("token"), Base: l, Origins: []string{"https://*.example.com"}}
		for host, token := range map[string]bool{"evil" + dot + "x.example.com": false, "x" + dot + "example.com": true, "x.example" + dot + "com": true} {
			req, err := http.NewRequest("GET", "https://"+host, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := send(tr, req); err != nil {
				t.Fatal(err)
			}
			if got := l.got["https://"+req.URL.Host]; got != token {
				t.Errorf("%q: the token went along: %t, want %t", host, got, token)
			}
		}
		tr.Close()
	}
}

// Guarantee 14: a host of this machine's own is no shelter for a token that goes through a proxy.
func TestG14_AProxyOnTheWay(t *testing.T) {
	proxied := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied++ }))
	defer proxy.Close()
	to, _ := url.Parse(proxy.URL)
	base := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return to, nil }}
	defer base.CloseIdleConnections()
	for _, allowed := range []bool{false, true} {
		tr := &transport.Transport{Provider: returning("token"), Base: base, AllowHTTP: allowed}
		req, _ := http.NewRequest("GET", "http://api.localhost:8080/", nil)
		if _, err := send(tr, req); (err == nil) != allowed {
			t.Errorf("AllowHTTP %t: %v", allowed, err)
		}
		tr.Close()
	}
	if proxied != 1 {
		t.Errorf("the proxy was asked %d times, want once", proxied)
	}
}

// Guarantee 8: a time without end is no time at all by mistake.
func TestG08_TimesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, d := range []time.Duration{math.MaxInt64, math.MaxInt64 - time.Second, 250 * 365 * 24 * time.Hour} {
			busy := errors.New("busy")
			tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				return provider.Token{}, provider.RetryAfter(busy, d)
			})}
			tr.Stats() // its clock begins
			time.Sleep(time.Hour)
			began := time.Now()
			if _, err := get(tr, t.Context()); !errors.Is(err, busy) || time.Since(began) != 0 {
				t.Errorf("RetryAfter %s: %v after %s", d, err, time.Since(began))
			}
			tr.Close()

			s := &stub{delay: time.Minute}
			long := &transport.Transport{Provider: s, Base: s, RefreshTimeout: d}
			long.Stats()
			time.Sleep(time.Hour)
			mustGet(t, long)
			long.Close()
		}
	})
}

// Guarantee 16: a body that is all brackets costs no more to be judged than any other.
func TestG16_NestedArrays(t *testing.T) {
	body := strings.Repeat("[", 9000) + strings.Repeat("{},", 15000) + "{}" + strings.Repeat("]", 9000)
	done := make(chan bool)
	go func() {
		for range 20 { // 8 s each, once
			transport.BodyCode("code", 40)(&http.Response{StatusCode: 401, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))})
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it takes minutes")
	}
}

// Guarantee 12: a response that is handed on while a read that a classifier has begun is still under way is the caller's alone:
// net/http writes the trailers into another. They are there when the body has been read.
func TestG12_TrailersOfALatePeek(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"code":`)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(1050 * time.Millisecond)
		_, _ = io.WriteString(w, `41}`)
		w.Header().Set("X-Sum", "7")
	}))
	defer srv.Close()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	tr := &transport.Transport{Provider: returning("t"), Base: base, IsRejected: transport.BodyCode("code", 40)}
	defer tr.Close()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			req, _ := http.NewRequest("GET", srv.URL, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); { // as a reverse proxy does
				for name := range resp.Trailer {
					_ = resp.Trailer.Get(name)
				}
			}
			b, err := io.ReadAll(resp.Body)
			if string(b) != `{"code":41}` || err != nil || resp.Body.Close() != nil || resp.Trailer.Get("X-Sum") != "7" {
				t.Errorf("%q, %v, trailers %v", b, err, resp.Trailer)
			}
		})
	}
	wg.Wait()
}

// Guarantee 12: the caller's Close returns, though a read is stuck that a classifier has begun and that holds what Close wants.
func TestG12_CloseAfterALatePeek(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(401)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	base := &http.Transport{}
	tr := &transport.Transport{Provider: returning("t"), Base: base, IsRejected: transport.BodyCode("code", 40)}
	defer tr.Close()
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	resp, err := tr.RoundTrip(req)
	if err != nil || resp.StatusCode != 401 {
		t.Fatal(resp, err)
	}
	closed := make(chan bool)
	go func() { _ = resp.Body.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("Close does not return")
	}
}

// A Base may answer without any header.
func TestG12_NoHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport.Transport{Provider: returning("t"), IsRejected: transport.Any401, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 401, Body: io.NopCloser(&zeros{100 << 10}), ContentLength: 100 << 10}, nil
		})}
		defer tr.Close()
		if status, err := get(tr, t.Context()); status != 401 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
	})
}

// Guarantee 16: headers count for what is kept of rejected answers, too.
func TestG16_LongHeadersOfThoseWhoWait(t *testing.T) {
	const n = 300
	release := make(chan struct{})
	var sent sync.WaitGroup
	sent.Add(n)
	calls := 0
	tr := &transport.Transport{RefreshTimeout: time.Hour, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
		if calls++; calls > 1 {
			<-release
		}
		return provider.NewToken(fmt.Sprint("t", calls), time.Time{}), nil
	}), Base: roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("Authorization") == "Bearer t2" {
			return respond(req, 200, ""), nil
		}
		sent.Done()
		sent.Wait()
		resp := refuse(req)
		resp.Header.Set("X-Long", strings.Repeat("x", 200<<10))
		resp.Header.Set("Set-Cookie", strings.Repeat("c", 200<<10))
		return resp, nil
	})}
	defer tr.Close()
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := heap()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if status, err := get(tr, t.Context()); status != 200 || err != nil {
				t.Error(status, err)
			}
		})
	}
	for tr.Stats().Waiting < n {
		time.Sleep(time.Millisecond)
	}
	if kept := heap() - before; kept > 16<<20 { // 120 MiB of headers came
		t.Errorf("%d bytes are kept", kept)
	}
	close(release)
	wg.Wait()
}

// SetToken: where no refresh token is in play, what a call brings that began before it is dropped, be it a token or the end.
func TestSetTokenOvertakesACall(t *testing.T) {
	for name, answer := range map[string]error{"a token": nil, "the end": provider.Permanent(errors.New("gone"))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				var calls int
				tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					if calls++; calls == 1 {
						time.Sleep(10 * time.Second)
						return s.issue("old"), answer
					}
					return s.issue("next"), nil
				})}
				defer tr.Close()
				go func() { _, _ = tr.Token(t.Context()) }()
				time.Sleep(time.Second)
				if err := tr.SetToken(s.issue("handed-over")); err != nil {
					t.Fatal(err)
				}
				if st := tr.Stats(); st.Hung.IsZero() || !st.Refreshing.IsZero() {
					t.Errorf("while the call is left behind: %+v", st)
				}
				time.Sleep(time.Minute)
				if tok, err := tr.Token(t.Context()); tok.Value() != "handed-over" || err != nil {
					t.Errorf("%q, %v", tok.Value(), err)
				}
				s.revoke()
				mustGet(t, tr)
				if calls != 2 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}

// Guarantee 11: a body of unknown length may turn out to be too long for a replay, so it waits for an early refresh.
func TestG11_AnUnknownLengthWaitsForTheNextToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour, delay: time.Second}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		for _, length := range []int64{-1, 0} { // net/http takes both for unknown
			began := time.Now()
			req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
			req.ContentLength = length
			if status, err := send(tr, req); status != 200 || err != nil || time.Since(began) != time.Second {
				t.Errorf("%d, %v after %s", status, err, time.Since(began))
			}
			time.Sleep(50 * time.Minute)
		}
	})
}

// Guarantee 4: a caller that gives up leaves at once, also while its rejected answer is read from a body that knows no context.
func TestG04_WhoGivesUpWhileTheAnswerIsRead(t *testing.T) {
	for _, how := range []func(*http.Response) bool{nil, transport.BodyCode("code", 40)} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{}
			tr := through(t, s)
			tr.IsRejected = how
			mustGet(t, tr)
			s.revoke()
			s.serve = func(req *http.Request) *http.Response {
				resp := refuse(req)
				resp.Body = closedOnce(make(chan struct{})) // until it is closed
				return resp
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			req, _ := http.NewRequestWithContext(ctx, "GET", "https://api.example.com/", nil)
			resp, err := tr.RoundTrip(req)
			if how == nil && !errors.Is(err, context.DeadlineExceeded) || how != nil && err != nil || time.Since(began) != 100*time.Millisecond {
				t.Errorf("%v after %s", err, time.Since(began))
			}
			if resp != nil {
				resp.Body.Close()
			}
			synctest.Wait()
		})
	}
}
