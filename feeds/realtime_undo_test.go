package feeds_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// A backend caches its token, the user is revoked, and the revocation is taken back. Then calls
// work again, and Events is told again too, under the token that had been rejected; until then
// neither the API nor the backend is stormed.
func TestEventsAfterARevocationIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{TTL: 24 * time.Hour})
		cached := a.Issue("alice")
		var asked atomic.Int64
		s := alice(t, a, provider.Func(func(context.Context) (string, error) { asked.Add(1); return cached, nil }))
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()

		client := a.client()
		cutoff := time.Now().Add(2 * time.Second)
		if err := client.RevokeUserToken(t.Context(), "alice", &cutoff); err != nil {
			t.Fatal(err)
		}
		a.open(t).refuse(401, feeds.CodeTokenExpired, "revoked")
		time.Sleep(time.Hour)
		if n := len(a.dialed()); n < 20 || n > 250 || asked.Load() > 130 {
			t.Errorf("%d connections and %d provider calls in an hour", n, asked.Load())
		}
		if err := client.RevokeUserToken(t.Context(), "alice", nil); err != nil {
			t.Fatal(err)
		}
		a.add(t, "missed", "user:alice")
		time.Sleep(2 * time.Minute)
		if _, err := s.QueryActivities(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected", "+missed"}) || l.errs != nil {
			t.Errorf("events %q, %v", got, l.errs)
		}
		before, askedBefore := len(a.dialed()), asked.Load()
		time.Sleep(time.Hour)
		if len(a.dialed()) != before || asked.Load() > askedBefore+1 {
			t.Errorf("%d more connections, and %d more provider calls", len(a.dialed())-before, asked.Load()-askedBefore)
		}
	})
}

// Two backends mint tokens for alice, and each caches its own. The token of the first is rejected
// on the socket. That of the second ends after 20 s, and then the first backend returns its token
// again. Events dials with it once more, and does not count it as rejected for ever.
func TestEventsOfARejectedTokenThatComesBack(t *testing.T) {
	for _, undone := range []bool{true, false} {
		t.Run(fmt.Sprint("undone ", undone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, &testserver.Server{TTL: 24 * time.Hour})
				first := a.Issue("alice")
				signer := provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret), Validity: 20 * time.Second}
				var asked atomic.Int64
				s := alice(t, a, provider.Func(func(context.Context) (string, error) {
					switch asked.Add(1) {
					case 1, 3:
						return first, nil
					case 2:
						return signer.UserToken("alice")
					}
					return a.Issue("alice"), nil
				}))
				l := listen(t.Context(), s, nil, "user:alice")
				time.Sleep(3 * time.Second)
				client, cutoff := a.client(), time.Now()
				if err := client.RevokeUserToken(t.Context(), "alice", &cutoff); err != nil {
					t.Fatal(err)
				}
				a.open(t).refuse(401, feeds.CodeTokenExpired, "revoked")
				time.Sleep(21 * time.Second)
				dials := 3
				if undone {
					if err := client.RevokeUserToken(t.Context(), "alice", nil); err != nil {
						t.Fatal(err)
					}
				} else {
					dials++ // the first token is rejected once more
				}
				_ = a.open(t).CloseNow()
				time.Sleep(time.Minute)
				if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected", "reconnected"}) {
					t.Errorf("events %q", got)
				}
				if n := len(a.dialed()); n != dials || int(asked.Load()) != dials {
					t.Errorf("%d connections and %d provider calls, want %d of each", n, asked.Load(), dials)
				}
			})
		})
	}
}

// The same while Events is in a pause, and so never sees the token of the second backend.
func TestEventsOfARejectedTokenThatComesBackDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{TTL: 24 * time.Hour})
		first := a.Issue("alice")
		signer := provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret), Validity: time.Second}
		var down atomic.Bool
		var asked, up atomic.Int64 // how often, and how often while the backends were up again
		p := provider.Func(func(context.Context) (string, error) {
			switch {
			case asked.Add(1) == 1:
				return first, nil
			case down.Load():
				return "", errors.New("the backends are down")
			case up.Add(1) == 1:
				return signer.UserToken("alice")
			}
			return first, nil
		})
		var pauses atomic.Int64
		client := a.client()
		client.Logger = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
			if bytes.Contains(b, []byte("no connection, will dial again")) {
				pauses.Add(1)
			}
			return len(b), nil
		}), nil))
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, p)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l := listen(t.Context(), s, nil, "user:alice")
		time.Sleep(3 * time.Second)
		cutoff := time.Now()
		if err := client.RevokeUserToken(t.Context(), "alice", &cutoff); err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		a.open(t).refuse(401, feeds.CodeTokenExpired, "revoked")
		for pauses.Load() < 6 { // the sixth is 8 s long at least
			time.Sleep(10 * time.Millisecond)
		}
		down.Store(false)
		for up.Load() < 2 { // within some 4 s
			_, _ = s.QueryActivities(t.Context(), nil)
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(a.dialed()); n != 1 {
			t.Errorf("%d connections: the test proves nothing", n)
		}
		if err := client.RevokeUserToken(t.Context(), "alice", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected"}) {
			t.Errorf("events %q, after %d provider calls and %d connections", got, asked.Load(), len(a.dialed()))
		}
		s.Close()
		<-l.done
	})
}

// A call meets the revocation, and then the connection is lost: no socket has told Events that the
// token is rejected. It is connected again soon after the revocation is taken back.
func TestEventsAfterARevocationThatACallMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{TTL: 24 * time.Hour})
		cached := a.Issue("alice")
		var asked atomic.Int32
		s := alice(t, a, provider.Func(func(context.Context) (string, error) { asked.Add(1); return cached, nil }))
		l := listen(t.Context(), s, nil, "user:alice")
		time.Sleep(3 * time.Second)
		client, cutoff := a.client(), time.Now()
		if err := client.RevokeUserToken(t.Context(), "alice", &cutoff); err != nil {
			t.Fatal(err)
		}
		if _, err := s.QueryActivities(t.Context(), nil); err == nil {
			t.Error("a call with a revoked token works")
		}
		_ = a.open(t).CloseNow()
		time.Sleep(10 * time.Minute)
		if n := len(a.dialed()); n < 10 || n > 40 || asked.Load() > 40 {
			t.Errorf("%d connections and %d provider calls in 10 minutes", n, asked.Load())
		}
		if err := client.RevokeUserToken(t.Context(), "alice", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got := l.seen(); !slices.Equal(got, []string{"connected", "reconnected"}) {
			t.Errorf("events %q", got)
		}
	})
}
