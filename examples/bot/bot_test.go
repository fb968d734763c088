package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// For a minute tokens of 2 s end, one is revoked every 7 s, the socket is broken every 3 s, and one
// call in five fails.
func TestAnswersThroughTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &testserver.Server{TTL: 2 * time.Second, Session: "bot's"}
		var mu sync.Mutex // guards the two
		requests, over := 0, false
		api.Fault = func(r *http.Request) (f testserver.Fault) {
			if !strings.Contains(r.URL.Path, "/comments") {
				return f
			}
			mu.Lock()
			defer mu.Unlock()
			switch requests++; {
			case over:
			case requests%10 == 3:
				f.Status = 500
			case requests%10 == 8:
				f.Cut = testserver.CutAfter // a comment takes effect then, and nobody is told
			}
			return f
		}
		w := newWorld(t, api)
		ids := []string{w.post("before the bot came")}
		w.start()
		for second := range 60 {
			time.Sleep(time.Second)
			ids = append(ids, w.post(fmt.Sprint("second ", second)))
			if second%3 == 0 {
				api.CloseSockets("bot", 1006)
			}
			if second%7 == 0 {
				api.Revoke("bot")
			}
		}
		mu.Lock()
		over = true
		mu.Unlock()
		time.Sleep(2 * time.Minute)
		w.wantOne(ids...)
		w.end()
		if w.bot.logins != 1 {
			t.Errorf("%d logins, want 1", w.bot.logins)
		}
		if err := api.Check(); err != nil {
			t.Error(err)
		}
		if l := api.Ledger(); l.Sockets < 20 || l.Rejected < 2 || requests < 150 {
			t.Errorf("%d sockets, %d refused tokens, %d calls about comments: there was no trouble", l.Sockets, l.Rejected, requests)
		}
	})
}

// An API that doesn't answer holds the bot up for a while only.
func TestOutlastsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Int64
		hangs.Store(3) // one after the other: at the login, at the first look, at the first answer
		api := &testserver.Server{Fault: func(r *http.Request) testserver.Fault {
			for i, path := range []string{"/api/v2/users", "/api/v2/feeds/follows/query", "/api/v2/feeds/comments"} {
				if r.URL.Path == path && hangs.CompareAndSwap(int64(3-i), int64(2-i)) {
					return testserver.Fault{Hang: true}
				}
			}
			return testserver.Fault{}
		}}
		w := newWorld(t, nil)
		w.start()
		time.Sleep(time.Second)
		w.restart(api)
		time.Sleep(3*patience + time.Minute)
		id := w.post("hello")
		time.Sleep(2 * patience)
		w.wantOne(id)
		w.end()
		if n := hangs.Load(); n != 0 {
			t.Errorf("%d calls were still to hang", n)
		}
	})
}

// It answers neither itself nor what says nothing.
func TestAnswersOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &testserver.Server{})
		self, err := w.bot.client.ConnectUser(t.Context(), w.bot.user, w.bot.tokens)
		if err != nil {
			t.Fatal(err)
		}
		defer self.Close()
		own := func() string {
			added, err := self.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"timeline:bot"}, Text: "I"})
			if err != nil {
				t.Fatal(err)
			}
			return added.Activity.ID
		}
		ids := []string{own(), w.post("")}
		w.start()
		time.Sleep(time.Second)
		ids = append(ids, own(), w.post(""))
		answered := w.post("hello")
		time.Sleep(time.Second)
		w.wantOne(answered)
		for i, id := range ids {
			if got := w.answers(id); len(got) != 0 {
				t.Errorf("activity %d has the answers %q, want none", i, got)
			}
		}
		w.end()
	})
}

// A provider call that is under way when the bot stops is waited for: it may bring the secret of
// the next login.
func TestWaitsForProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &testserver.Server{})
		var calls, returned atomic.Int64
		w.bot.tokens = provider.Func(func(ctx context.Context) (string, error) {
			if calls.Add(1) > 1 {
				time.Sleep(5 * time.Second) // whatever ctx says: it has been sent
			}
			defer returned.Add(1)
			return provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret), Validity: 2 * time.Second}.UserToken("bot")
		})
		w.post("hello")
		w.start()
		time.Sleep(5 * time.Second)
		w.post("hello again") // the answer needs a token
		time.Sleep(time.Second)
		w.end()
		if calls.Load() != 2 || returned.Load() != 2 {
			t.Errorf("%d of %d calls had returned, want 2 of 2", returned.Load(), calls.Load())
		}
	})
}

// No one waits behind an activity that can't be answered.
func TestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad string
		api := &testserver.Server{Fault: func(r *http.Request) (f testserver.Fault) {
			if r.Method == "GET" && bad != "" && r.URL.Query().Get("object_id") == bad {
				f.Status = 500
			}
			return f
		}}
		w := newWorld(t, api)
		bad = w.post("this one is cursed")
		gone := w.post("this one will be deleted")
		good := w.post("hello")
		w.bot.reply = func(a *feeds.Activity) string {
			if a.ID == gone {
				server, err := operatorOf(w).ConnectServer(t.Context())
				if err == nil {
					err = server.DeleteActivity(t.Context(), gone, &feeds.DeleteActivityRequest{HardDelete: true})
					_ = server.Close()
				}
				if err != nil {
					t.Error(err)
				}
			}
			return reply(a)
		}
		w.start()
		time.Sleep(time.Second)
		w.wantOne(good)
		w.end()
		if !w.bot.done[gone] || w.bot.done[bad] {
			t.Error("want the deleted one settled, and the cursed one still to be tried")
		}
	})
}

// What a person has to mend ends the bot at once, with the reason.
func TestGivesUp(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		change     func(*bot)
		api        *testserver.Server
	}{
		{"wrong key", "the API key is not one of this API's", func(b *bot) { b.client.Key = "other" }, &testserver.Server{}},
		{"wrong session", "rejected the login with status 401", func(*bot) {}, &testserver.Server{Session: "another"}},
		{"wrong secret", "signed with another secret", func(b *bot) { b.tokens = provider.Signer{Secret: provider.NewSecret("x")}.For("bot") }, &testserver.Server{}},
		{"not allowed", "the user's role does not permit it", func(*bot) {}, &testserver.Server{Fault: func(r *http.Request) (f testserver.Fault) {
			if strings.Contains(r.URL.Path, "/feeds/timeline") || strings.Contains(r.URL.Path, "/feed_groups/timeline") {
				f.Status = 403
			}
			return f
		}}},
		{"switched off", "has ended the events for good", func(*bot) {}, &testserver.Server{Fault: func(*http.Request) testserver.Fault {
			return testserver.Fault{Socket: testserver.SocketFault{After: time.Second, Close: 1000}}
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.api)
				tt.change(w.bot)
				w.start()
				defer w.stop()
				began := time.Now()
				if err := <-w.stopped; err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, want %q", err, tt.says)
				}
				if took := time.Since(began); took > time.Second+time.Millisecond {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// What may pass is waited for, however long it takes, from the very start.
func TestWaitsForAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.start()
		time.Sleep(time.Hour)
		w.restart(&testserver.Server{})
		id := w.post("at last")
		time.Sleep(2 * time.Minute)
		w.wantOne(id)
		w.end()
	})
}

// A bot that is told to stop stops, whatever it is at.
func TestStops(t *testing.T) {
	for name, api := range map[string]*testserver.Server{
		"idle":                     {},
		"while nobody answers":     {Fault: func(*http.Request) testserver.Fault { return testserver.Fault{Hang: true} }},
		"while the API is down":    nil,
		"while logins are failing": {Fault: func(*http.Request) testserver.Fault { return testserver.Fault{Status: 503} }},
		"while it can't answer": {Fault: func(r *http.Request) (f testserver.Fault) {
			if strings.Contains(r.URL.Path, "/comments") {
				f.Status = 503
			}
			return f
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, api)
				if name == "while it can't answer" {
					w.post("hello")
				}
				w.start()
				time.Sleep(5 * time.Second)
				began := time.Now()
				w.end()
				// The provider is waited for, so that a rotated login is not lost. It hangs here,
				// and has 10 s.
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
