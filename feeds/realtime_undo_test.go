package feeds_test

import (
	"context"
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
