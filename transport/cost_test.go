package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// base is a RoundTripper that does nothing. It is a package-level interface variable, or the
// compiler would see through it and keep the request on the stack.
var base http.RoundTripper = roundTripper(func(*http.Request) (*http.Response, error) { return nothing, nil })

var nothing = &http.Response{StatusCode: 200, Body: http.NoBody}

// echo is base for several goroutines: it answers with the response that the request brings in its
// context.
var echo http.RoundTripper = roundTripper(func(req *http.Request) (*http.Response, error) {
	return req.Context().Value(carried{}).(*http.Response), nil
})

type carried struct{}

func echoed() *http.Request {
	resp := &http.Response{StatusCode: 200, Body: http.NoBody}
	req, _ := http.NewRequestWithContext(context.WithValue(context.Background(), carried{}, resp), "POST", "https://api.example.com/", strings.NewReader("x"))
	return req
}

// Guarantee 17: three allocations for a request under a live token.
func TestG17_AllocationsUnderALiveToken(t *testing.T) {
	for _, body := range []io.Reader{nil, strings.NewReader("hello")} {
		for _, expiry := range []time.Time{{}, time.Now().Add(time.Hour)} {
			tr := &transport.Transport{Base: base, Origins: []string{"https://api.example.com"},
				Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					return provider.NewToken("t", expiry), nil
				})}
			req, _ := http.NewRequest("POST", "https://api.example.com/", body)
			for i := range 7 {
				req.Header.Set(fmt.Sprint("X-", i), "v")
			}
			if _, err := tr.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(1000, func() { _, _ = tr.RoundTrip(req) }); n != 3 {
				t.Errorf("%v allocations, want 3 (body %v, expiry %v)", n, body, expiry)
			}
			tr.Close()
		}
	}
}

// Guarantee 17: no lock. A request under a live token gets through while the lock is held, which
// shows from outside only by holding up Stats; so this looks at what the mutex profile sees of 8
// goroutines at full speed.
func TestG17_NoLockUnderALiveToken(t *testing.T) {
	old := runtime.SetMutexProfileFraction(1)
	defer runtime.SetMutexProfileFraction(old)
	before, _ := runtime.MutexProfile(nil)
	tr := &transport.Transport{Base: echo, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
		return provider.NewToken("t", time.Now().Add(time.Hour)), nil
	})}
	defer tr.Close()
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			req := echoed()
			for range 20_000 {
				_, _ = tr.RoundTrip(req)
			}
		})
	}
	wg.Wait()
	records := make([]runtime.BlockProfileRecord, before+1000)
	n, _ := runtime.MutexProfile(records)
	for _, r := range records[:n] {
		frames := runtime.CallersFrames(r.Stack())
		locked := false // the runtime's own locks, as the allocator's, are in the profile too
		for {
			f, more := frames.Next()
			locked = locked || strings.Contains(f.Function, "sync.(*Mutex)") || strings.Contains(f.Function, "sync.(*RWMutex)")
			if locked && strings.Contains(f.Function, "transport.(*Transport).RoundTrip") {
				t.Errorf("RoundTrip has waited for a lock: %s:%d", f.File, f.Line)
			}
			if !more {
				break
			}
		}
	}
}

// Guarantee 18: MaxWaiting counts everyone who waits for a token, and past it requests fail at
// once.
func TestG18_MaxWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{delay: time.Second}
		tr := through(t, s)
		tr.MaxWaiting = 10
		tok, err := tr.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tr.Reject(tok)
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				var err error
				if i%2 == 0 {
					_, err = tr.Token(t.Context())
				} else {
					_, err = get(tr, t.Context())
				}
				if err != nil || time.Since(began) != time.Second {
					t.Errorf("waiter %d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		for range 5 {
			if _, err := get(tr, t.Context()); !errors.Is(err, transport.ErrQueueFull) || time.Since(began) != 0 {
				t.Errorf("past the limit: %v after %s", err, time.Since(began))
			}
		}
		if st := tr.Stats(); st.Waiting != 10 || st.QueueFull != 5 {
			t.Errorf("stats %+v", st)
		}
		wg.Wait()
		if st := tr.Stats(); st.Waiting != 0 {
			t.Errorf("%d still wait", st.Waiting)
		}
	})
}

// Guarantee 19: nothing runs in the background of an idle client, and no goroutine outlives its
// work. A synctest bubble ends only when every goroutine in it has.
func TestG19_NothingRunsWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Minute, delay: time.Second}
		tr := &transport.Transport{Provider: s, Base: s}
		for range 10 {
			mustGet(t, tr)
			synctest.Wait()
			time.Sleep(50 * time.Second) // into the early window
			mustGet(t, tr)
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		calls, _, _ := s.counts()
		time.Sleep(24 * time.Hour)
		if later, _, _ := s.counts(); later != calls {
			t.Errorf("%d provider calls in an idle day", later-calls)
		}
		// No Close: there is nothing to stop.
	})
}
