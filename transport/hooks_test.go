package transport_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A hook may call every method.
func TestTraceHooksCallEveryMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute}
		tr := through(t, s)
		var all func()
		var n atomic.Int32
		all = func() {
			if n.Add(1) > 50 {
				return // hooks call hooks
			}
			tr.Stats()
			tr.CloseIdleConnections()
			tr.Reject(provider.NewToken("another", time.Time{}))
		}
		tr.Trace = &transport.Trace{
			RefreshStart:  func(transport.RefreshStart) { all() },
			AttemptFailed: func(transport.AttemptFailed) { all() },
			RefreshDone: func(transport.RefreshDone) {
				all()
				if tok, err := tr.Token(t.Context()); err != nil || tok.IsZero() {
					t.Errorf("Token in a hook: %v", err)
				}
				mustGet(t, tr)
			},
			Rejected: func(transport.Rejected) { all() },
			Waited:   func(transport.Waited) { all() },
			Replayed: func(transport.Replayed) { all() },
		}
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
		synctest.Wait()
	})
}

// A hook that ends its goroutine, as t.Fatal does, leaves no one waiting, and the next event is
// told.
func TestTraceHooksThatEndTheirGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		begun := 0
		tr.Trace = &transport.Trace{RefreshStart: func(transport.RefreshStart) {
			if begun++; begun == 1 {
				goexit()
			}
		}}
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
		synctest.Wait()
		if begun != 2 {
			t.Errorf("%d events", begun)
		}
	})
}

// Each hook may wait for the very token that it is told of.
func TestTraceHooksWaitForTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			switch n {
			case 2:
				return provider.Token{}, errors.New("blip")
			case 3:
				return provider.NewToken("t1", time.Time{}), nil // the rejected one again
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		var n atomic.Int32
		wait := func() {
			n.Add(1)
			if _, err := tr.Token(t.Context()); err != nil {
				t.Errorf("Token in a hook: %v", err)
			}
		}
		tr.Trace = &transport.Trace{
			RefreshStart:  func(transport.RefreshStart) { wait() },
			AttemptFailed: func(transport.AttemptFailed) { wait() },
			RefreshDone:   func(transport.RefreshDone) { wait() },
			Rejected:      func(transport.Rejected) { wait() },
			Waited:        func(transport.Waited) { n.Add(1) },
			Replayed:      func(transport.Replayed) { wait() },
		}
		mustGet(t, tr)
		s.revoke()
		mustGet(t, tr)
		synctest.Wait()
		if n.Load() < 9 {
			t.Errorf("%d events", n.Load())
		}
	})
}

// A hook that calls Close waits for itself, so Close returns after a second, and what comes after
// the hook is told all the same.
func TestTraceHooksThatCallClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		var took time.Duration
		var done atomic.Bool
		tr.Trace = &transport.Trace{
			RefreshStart: func(transport.RefreshStart) {
				began := time.Now()
				tr.Close()
				took = time.Since(began)
			},
			RefreshDone: func(transport.RefreshDone) { done.Store(true) },
		}
		_, err := get(tr, t.Context())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if took != time.Second {
			t.Errorf("Close has waited for %s", took)
		}
		if err == nil && !done.Load() {
			t.Error("the end of the refresh was not told")
		}
		if _, err := get(tr, t.Context()); err != transport.ErrClosed {
			t.Errorf("error %v", err)
		}
	})
}

// Close returns when everything is told, so a program that exits afterwards loses nothing of it. A
// hook that does not return holds it up for a second.
func TestCloseWaitsForTheLastEvent(t *testing.T) {
	for _, tt := range []struct{ hook, close time.Duration }{
		{0, 0},
		{300 * time.Millisecond, 600 * time.Millisecond}, // two events
		{time.Hour, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{}
			tr := &transport.Transport{Provider: s, Base: s}
			var told []string
			tell := func(what string) {
				time.Sleep(tt.hook)
				told = append(told, what)
			}
			tr.Trace = &transport.Trace{
				RefreshStart: func(transport.RefreshStart) { tell("start") },
				RefreshDone:  func(transport.RefreshDone) { tell("done") },
			}
			mustGet(t, tr)
			began := time.Now()
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took != tt.close {
				t.Errorf("Close has waited for %s, want %s", took, tt.close)
			}
			if tt.close < time.Second && !slices.Equal(told, []string{"start", "done"}) {
				t.Errorf("told %v", told)
			}
			time.Sleep(3 * time.Hour)
		})
	}
}

// Where a program survives a hook that panics, nothing of the rejected answer stays counted as
// kept: the next one is handed on whole.
func TestTraceHooksThatPanic(t *testing.T) {
	for _, hook := range []string{"Rejected", "Waited", "Replayed"} {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{}
			page := strings.Repeat("x", 60<<10)
			s.serve = func(req *http.Request) *http.Response {
				if s.accepts(req) {
					return nil
				}
				resp := reject(req)
				resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(page)), int64(len(page))
				return resp
			}
			tr := through(t, s)
			on := true
			leave := func(of string) {
				if on && of == hook {
					panic("a hook")
				}
			}
			tr.Trace = &transport.Trace{
				Rejected: func(transport.Rejected) { leave("Rejected") },
				Waited: func(e transport.Waited) {
					if tr.Stats().Rejected > 0 { // not for the first token
						leave("Waited")
					}
				},
				Replayed: func(transport.Replayed) { leave("Replayed") },
			}
			mustGet(t, tr)
			panics := 0
			for range 100 { // 6 MiB in sum; 2 may be kept
				s.revoke()
				func() {
					defer func() {
						if recover() != nil {
							panics++
						}
					}()
					_, _ = get(tr, t.Context())
				}()
				time.Sleep(time.Minute)
			}
			on = false
			tok, _ := tr.Token(t.Context())
			s.mint = func(int) (provider.Token, error) { return tok, nil } // there is nothing better: the answer is handed on
			time.Sleep(time.Minute)
			s.revoke()
			req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(resp.Body); len(b) != len(page) || panics < 50 {
				t.Errorf("%s: %d bytes after %d panics", hook, len(b), panics)
			}
		})
	}
}
