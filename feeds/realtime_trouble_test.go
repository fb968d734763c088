package feeds_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// backends is a token provider that asks one of two backends for alice's tokens. With cached, a
// backend returns its last token until that expires.
type backends struct {
	srv *testserver.Server

	mu     sync.Mutex // guards the fields below
	down   bool
	cached bool
	turn   int // the backend that answers
	tokens [2]string
	ends   [2]time.Time
}

func (b *backends) Token(context.Context, provider.Token) (provider.Token, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return provider.Token{}, errors.New("the backends are down")
	}
	if !b.cached || !time.Now().Before(b.ends[b.turn]) {
		b.tokens[b.turn], b.ends[b.turn] = b.srv.Issue("alice"), time.Now().Add(b.srv.TTL)
	}
	return provider.ParseJWT(b.tokens[b.turn])
}

func (b *backends) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// Whatever has happened, in whatever order, to the connection, the tokens and the backends: once it
// is over Events is connected again, and has told each activity once and in order. The seed of a
// failure is printed; STAYAUTH_SEED runs it again.
func TestEventsAfterAnyTrouble(t *testing.T) {
	schedules, seed := 25, rand.Uint64()
	if s := os.Getenv("STAYAUTH_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		schedules, seed = 1, n
	}
	for n := range schedules {
		seed := seed + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { trouble(t, seed) }) })
	}
}

func trouble(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	a := newAPI(t, &testserver.Server{TTL: []time.Duration{2 * time.Second, 20 * time.Second, time.Hour}[rnd.IntN(3)]})
	var away, broken, busy atomic.Bool // the API, the reading of feeds, and the body of the loop
	a.upgrade = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		if away.Load() {
			w.WriteHeader(503)
		}
		return away.Load()
	}
	a.watch = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		if broken.Load() {
			w.WriteHeader(502)
		}
		return broken.Load()
	}
	fid, add := "user:alice", func(text string) { a.add(t, text, "user:alice") }
	if rnd.IntN(2) == 0 {
		a.grouped = map[string]*groupedFeed{notes: {shows: 5, tells: 3, listed: true}}
		fid, add = notes, func(text string) { a.notify(notes, []string{"like", "follow"}[rnd.IntN(2)], text) }
	}
	p := &backends{srv: a.Server}
	s := alice(t, a, p)
	l := listen(t.Context(), s, func(feeds.Event) bool {
		if busy.Load() {
			time.Sleep(time.Second)
		}
		return true
	}, fid)
	time.Sleep(time.Second)
	client := a.client()
	revoke := func(before *time.Time) {
		if err := client.RevokeUserToken(t.Context(), "alice", before); err != nil {
			t.Fatal(err)
		}
	}
	conns := func() []*conn {
		a.mu.Lock()
		defer a.mu.Unlock()
		return slices.Clone(a.conns)
	}
	var did, want []string
	steps := []struct {
		name string
		do   func()
	}{
		{"cut", func() {
			for _, c := range conns() {
				_ = c.CloseNow()
			}
		}},
		{"restart", func() {
			for _, c := range conns() {
				_ = c.Close(websocket.StatusServiceRestart, "")
			}
		}},
		{"reject", func() { // with or without a reason
			for _, c := range conns() {
				c.refuse(401, feeds.CodeTokenExpired, "revoked")
			}
		}},
		{"revoke", func() { now := time.Now(); revoke(&now) }},
		{"undo", func() { revoke(nil) }},
		{"down", func() { p.set(func() { p.down = true }) }},
		{"up", func() { p.set(func() { p.down = false }) }},
		{"cache", func() { p.set(func() { p.cached = true }) }},
		{"no cache", func() { p.set(func() { p.cached = false }) }},
		{"other backend", func() { p.set(func() { p.turn = 1 - p.turn }) }},
		{"away", func() { away.Store(!away.Load()) }},
		{"broken", func() { broken.Store(!broken.Load()) }},
		{"busy", func() { busy.Store(!busy.Load()) }},
		{"call", func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, _ = s.QueryActivities(ctx, nil) // it may fail now
		}},
	}
	for range 40 {
		step := steps[rnd.IntN(len(steps))]
		did = append(did, step.name)
		step.do()
		want = append(want, fmt.Sprint(len(want)))
		add(want[len(want)-1])
		time.Sleep(time.Duration(rnd.Int64N(int64([]time.Duration{time.Second, 10 * time.Second, time.Minute}[rnd.IntN(3)]))))
	}
	revoke(nil)
	p.set(func() { p.down = false })
	away.Store(false)
	broken.Store(false)
	busy.Store(false)
	time.Sleep(3 * time.Minute) // the longest pauses of the transport and of Events, and once more
	want = append(want, "live")
	add("live")
	synctest.Wait()
	var got []string
	live := false
	l.mu.Lock()
	for _, ev := range l.events {
		if ev.Type == feeds.EventActivityAdded {
			got, live = append(got, ev.Activity.Text), !ev.Recovered
		}
	}
	errs := l.errs
	l.mu.Unlock()
	if !slices.Equal(got, want) || !live || len(errs) > 0 {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Errorf("told %d of %d, the first %d in order; errors %v, stats %+v, %d connections after %q",
			len(got), len(want), i, errs, s.Stats(), len(conns()), did)
	}
	s.Close()
	<-l.done
}
