package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// An API that comes back without its memory knows neither the refresh token, for which the session
// secret does, nor the follows.
func TestSurvivesRestart(t *testing.T) {
	for _, down := range []time.Duration{0, 5 * time.Second, time.Hour} {
		t.Run(down.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &testserver.Server{TTL: 5 * time.Second})
				w.start()
				before := w.post("before")
				time.Sleep(20 * time.Second) // the bot finds alice's feed, which was made after it came
				w.wantOne(before)

				w.restart(nil)
				time.Sleep(down)
				w.restart(&testserver.Server{TTL: 5 * time.Second})
				time.Sleep(time.Minute)
				after := w.post("after")
				time.Sleep(20 * time.Second)
				w.wantOne(after)
				w.end()
				if w.bot.answered != 2 || w.bot.logins != 1 {
					t.Errorf("%d answers in %d logins, want 2 in 1", w.bot.answered, w.bot.logins)
				}
			})
		})
	}
}

// Where its token is still good the session goes on; the follows are made again all the same.
func TestSurvivesRestartInSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &testserver.Server{})
		w.bot.tokens = provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}.For("bot")
		ids := []string{w.post("before")}
		w.start()
		time.Sleep(time.Second)
		w.wantOne(ids...)
		w.restart(&testserver.Server{})
		time.Sleep(time.Minute)
		ids = []string{w.post("after")}
		time.Sleep(20 * time.Second)
		w.wantOne(ids...)
		w.end()
		if w.bot.answered != 2 || w.bot.logins != 1 {
			t.Errorf("%d answers in %d logins, want 2 in 1", w.bot.answered, w.bot.logins)
		}
	})
}

// A bot that is started again answers what it has missed, and nothing twice.
func TestStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &testserver.Server{})
		ids := []string{w.post("one")}
		w.start()
		time.Sleep(time.Second)
		w.end()
		ids = append(ids, w.post("two"), w.post("three"))
		time.Sleep(time.Second)
		w.wantOne(ids[0])
		for range 2 {
			w.bot.done = nil // as in a new process
			w.start()
			time.Sleep(time.Second)
			w.end()
			w.wantOne(ids...)
		}
		if w.bot.answered != 3 {
			t.Errorf("%d answers, want 3", w.bot.answered)
		}
	})
}
