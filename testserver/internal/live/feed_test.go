package live_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/live"
)

// Of many requests a few are kept, and all are counted.
func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := live.NewFeed(), newSubject()
		for range 1000 { // at one moment
			f.Request(request("alice", "", live.Served))
		}
		f.Request(request("alice", "", live.Rejected)) // is no less visible for it
		n := f.News(s, 0)
		if len(n.Events) != 6 || n.Events[5].Kind != live.Rejected || n.Counted != 1001 || n.Shown != 6 {
			t.Errorf("%d events of %d requests, shown %d; want 6 of 1001, the last of them rejected", len(n.Events), n.Counted, n.Shown)
		}
		if u := n.Users[0]; u.Served != 1000 || u.Rejected != 1 {
			t.Errorf("served %d, rejected %d; want 1000, 1", u.Served, u.Rejected)
		}
		for i := range 1000 {
			f.Request(request(fmt.Sprint("user", i%50), "", live.Served))
		}
		if n := f.News(s, n.Next); len(n.Events) != 60-6 {
			t.Errorf("%d events of 50 users at one moment, want what is left of 60", len(n.Events))
		}
		time.Sleep(100 * time.Millisecond)
		f.Request(request("alice", "", live.Served))
		if n := f.News(s, 0); len(n.Events) != 61 {
			t.Errorf("%d events, want one more in the next window", len(n.Events))
		}
	})
}

// What a feed remembers is bounded, whatever comes.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := live.NewFeed(), newSubject()
		for i := range 5000 {
			meet(f, fmt.Sprint("user", i%100), fmt.Sprint("token", i))
			f.Request(request(fmt.Sprint("user", i%100), fmt.Sprint("token", i), live.Served))
			time.Sleep(100 * time.Millisecond)
		}
		n := f.News(s, 1)
		if len(n.Users) != 64 || n.Users[0].ID != "user99" || len(n.Events) != 4096 || n.Events[4095].Seq != 5000 {
			t.Errorf("%d users, the newest %s, %d events; want 64, user99, 4096", len(n.Users), n.Users[0].ID, len(n.Events))
		}
		for i := range 100 {
			meet(f, "user99", fmt.Sprint("more", i))
		}
		of := 0
		for _, tok := range f.News(s, 0).Tokens {
			if tok.User == "user99" {
				of++
			}
		}
		if of != 24 {
			t.Errorf("%d tokens of one user, want 24", of)
		}
		r := request("user99", "", live.Served)
		r.Op, r.Detail = "POST", strings.Repeat("x", 10_000)
		time.Sleep(time.Second)
		f.Request(r)
		if e := f.News(s, 5001).Events[0]; len(e.Words) > 130 {
			t.Errorf("an event has %d bytes of words", len(e.Words))
		}
	})
}

// A request that is not kept costs no allocation.
func TestAllocations(t *testing.T) {
	f := live.NewFeed()
	meet(f, "alice", "token")
	r := request("alice", "token", live.Served) // its time stands still
	if n := testing.AllocsPerRun(1000, func() { f.Request(r) }); n != 0 {
		t.Errorf("%v allocations a request, want 0", n)
	}
}

// A client that tells of its pauses: they are as long as it says. One that does not: they are
// inferred from a rejection and what comes after it.
func TestPauses(t *testing.T) {
	pauses := func(f *live.Feed) (all []live.Event) {
		for _, e := range f.News(newSubject(), 0).Events {
			if e.Kind == live.Pause {
				all = append(all, e)
			}
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		do    func(*live.Feed)
		want  int
		lasts live.Milliseconds
		words string
	}{
		{"told", func(f *live.Feed) {
			f.PauseBegan("alice")
			time.Sleep(time.Second)
			f.PauseBegan("alice") // it had begun
			time.Sleep(time.Second)
			f.PauseEnded("alice", 3, "")
			f.PauseEnded("alice", 3, "") // it had ended
		}, 1, 2000, "3 requests waited"},
		{"told, and no token", func(f *live.Feed) {
			f.PauseBegan("alice")
			time.Sleep(time.Second)
			f.PauseEnded("alice", 1, "no luck")
		}, 1, 1000, "1 request waited, and no token came: no luck"},
		{"a refresh in the background", func(f *live.Feed) { f.PauseEnded("alice", 0, "") }, 0, 0, ""},
		{"inferred", func(f *live.Feed) {
			f.Request(request("alice", "a", live.Rejected))
			time.Sleep(time.Second)
			meet(f, "alice", "b")
			f.Request(request("alice", "b", live.Replayed))
		}, 1, 1000, "inferred: no request came between a rejection and the next token"},
		{"a late rejection", func(f *live.Feed) {
			meet(f, "alice", "b")
			f.Request(request("alice", "a", live.Rejected))
			time.Sleep(time.Second)
			f.Request(request("alice", "b", live.Replayed))
		}, 0, 0, ""},
		{"told too late", func(f *live.Feed) {
			f.PauseEnded("alice", 1, "")
			f.PauseBegan("alice")
			time.Sleep(time.Second)
			f.Request(request("alice", "a", live.Served)) // perhaps the end is on its way
			if f.News(newSubject(), 0).Users[0].Paused == 0 {
				t.Error("the pause is over after a second")
			}
			time.Sleep(2 * time.Second)
			f.Request(request("alice", "a", live.Served))
			if f.News(newSubject(), 0).Users[0].Paused != 0 {
				t.Error("the pause goes on while requests are served")
			}
		}, 0, 0, ""},
		{"a rejection of a client that tells", func(f *live.Feed) {
			f.RequestWaited("alice", time.Second)
			f.Request(request("alice", "a", live.Rejected))
			time.Sleep(time.Second)
			f.Request(request("alice", "b", live.Replayed))
		}, 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := live.NewFeed()
				meet(f, "alice", "a")
				time.Sleep(time.Second)
				tt.do(f)
				got := pauses(f)
				if len(got) != tt.want || tt.want == 1 && (got[0].Length != tt.lasts || got[0].Words != tt.words) {
					t.Errorf("%+v; want %d of %v ms: %s", got, tt.want, tt.lasts, tt.words)
				}
			})
		})
	}
}

// While it lasts, a pause is seen, and so is a call of the token endpoint.
func TestUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := live.NewFeed(), newSubject()
		began := live.TimeOf(time.Now())
		f.PauseBegan("alice")
		f.CallBegan("alice")
		f.CallBegan("") // not known yet whose
		time.Sleep(time.Second)
		n := f.News(s, 0)
		if len(n.Users) != 1 || n.Users[0].Paused != began || n.Users[0].Calling != began {
			t.Errorf("%+v; want alice, paused and calling since %v", n.Users, began)
		}
		f.CallEnded("alice", live.Request{Begin: time.Now().Add(-time.Second), End: time.Now(), User: "alice", Status: 200})
		f.PauseEnded("alice", 1, "")
		n = f.News(s, 0)
		if u := n.Users[0]; u.Paused != 0 || u.Calling != 0 || len(n.Events) != 2 {
			t.Errorf("%+v, %d events; want neither, 2", u, len(n.Events))
		}
	})
}

// A token's bar ends when the token is seen to be revoked, stays there, and is whole again after
// an undo.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := live.NewFeed(), newSubject()
		meet(f, "alice", "a")
		cut := func() live.Milliseconds { return f.News(s, 0).Tokens[0].Cut }
		if got := cut(); got != 0 {
			t.Errorf("a valid token ends at %v", got)
		}
		time.Sleep(time.Second)
		s.set("a", "revoked")
		want := live.TimeOf(time.Now())
		cut()
		time.Sleep(time.Second)
		if got := cut(); got != want {
			t.Errorf("it ends at %v, want %v", got, want)
		}
		s.set("a", "valid")
		if got := cut(); got != 0 {
			t.Errorf("after an undo it ends at %v", got)
		}
	})
}
