package testserver_test

import (
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// A used refresh token that comes again ends the login, tokens included, and no other.
func TestGuardReuse(t *testing.T) {
	g := &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		spent, other := g.LogIn("alice"), g.LogIn("alice")
		next := refreshGrant(g, spent)
		wantGrantError(t, refreshGrant(g, spent), 400, "invalid_grant")
		if code := status(g, next.text("access_token")); code != 401 {
			t.Errorf("a token of the login that ended: status %d", code)
		}
		wantGrantError(t, refreshGrant(g, next.text("refresh_token")), 400, "invalid_grant")
		wantStatus(t, refreshGrant(g, other), 200)
		if n := g.Ledger().Reused; n != 1 { // the newest one was never used
			t.Errorf("%d reused, want 1", n)
		}
	})
}

func TestGuardGrace(t *testing.T) {
	for name, tt := range map[string]struct {
		grace time.Duration
		after time.Duration // when the used one comes again
		ok    bool
	}{
		"until the successor is used": {0, 24 * time.Hour, true},
		"within":                      {time.Minute, time.Minute - 1, true},
		"too late":                    {time.Minute, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := &testserver.Guard{Rotation: testserver.SingleUseWithGrace, Grace: tt.grace, TTL: 48 * time.Hour}
			guarded(t, g, func(t *testing.T) {
				first := g.LogIn("alice")
				second := refreshGrant(g, first)
				time.Sleep(tt.after)
				again := refreshGrant(g, first)
				if !tt.ok {
					wantGrantError(t, again, 400, "invalid_grant")
					return
				}
				wantStatus(t, again, 200)
				if again.text("access_token") != second.text("access_token") || again.text("refresh_token") != second.text("refresh_token") {
					t.Error("asked again, the answer is another one")
				}
				if n := g.Ledger().Reused; n != 0 {
					t.Errorf("%d reused, want 0: it was within the grace", n)
				}
				wantStatus(t, refreshGrant(g, second.text("refresh_token")), 200)
				wantGrantError(t, refreshGrant(g, first), 400, "invalid_grant")
				if n := g.Ledger().Reused; n != 1 {
					t.Errorf("%d reused, want 1", n)
				}
			})
		})
	}
}

func TestGuardReusable(t *testing.T) {
	g := &testserver.Guard{Rotation: testserver.Reusable}
	guarded(t, g, func(t *testing.T) {
		secret := g.LogIn("alice")
		first := refreshGrant(g, secret)
		second := refreshGrant(g, secret)
		for _, a := range []answer{first, second} {
			wantStatus(t, a, 200)
			if a.text("refresh_token") != "" || status(g, a.text("access_token")) != 200 {
				t.Errorf("got %v", a.body)
			}
		}
	})
}

// RotationRevokes leaves each login one good token, the newest, whether the refresh token changes
// or not.
func TestRotationRevokes(t *testing.T) {
	for _, tt := range []struct {
		g   *testserver.Guard
		old int // the status that the old token gets
	}{
		{&testserver.Guard{}, 200},
		{&testserver.Guard{RotationRevokes: true}, 401},
		{&testserver.Guard{RotationRevokes: true, Rotation: testserver.Reusable, Opaque: true}, 401},
	} {
		guarded(t, tt.g, func(t *testing.T) {
			login := tt.g.LogIn("alice")
			first := refreshGrant(tt.g, login)
			other := refreshGrant(tt.g, tt.g.LogIn("alice"))
			next := refreshGrant(tt.g, or(first.text("refresh_token"), login))
			for token, want := range map[string]int{
				first.text("access_token"): tt.old, next.text("access_token"): 200, other.text("access_token"): 200,
			} {
				if code := status(tt.g, token); code != want {
					t.Errorf("status %d, want %d", code, want)
				}
			}
		})
	}
}

func TestLogOut(t *testing.T) {
	g := &testserver.Guard{}
	guarded(t, g, func(t *testing.T) {
		a, bob, free := refreshGrant(g, g.LogIn("alice")), refreshGrant(g, g.LogIn("bob")), g.Issue("alice")
		g.LogOut("alice")
		wantGrantError(t, refreshGrant(g, a.text("refresh_token")), 400, "invalid_grant")
		for token, want := range map[string]int{a.text("access_token"): 401, bob.text("access_token"): 200, free: 200} {
			if code := status(g, token); code != want {
				t.Errorf("status %d, want %d", code, want)
			}
		}
		wantStatus(t, refreshGrant(g, g.LogIn("alice")), 200)
		g.Revoke("bob")
		if code := status(g, bob.text("access_token")); code != 401 {
			t.Errorf("bob's revoked token: status %d", code)
		}
		wantStatus(t, refreshGrant(g, bob.text("refresh_token")), 200)
	})
}
