package testserver_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stayauth/stayauth/testserver"
)

func TestIssue(t *testing.T) {
	for _, tt := range []struct {
		name       string
		ttl, clock time.Duration
		iat, exp   any // relative to the bubble's start; exp nil: none
	}{
		{"default", 0, 0, 0.0, 3601.0},
		{"rounded up", time.Millisecond, 0, 0.0, 1.0},
		{"exact", 1500 * time.Millisecond, 0, 0.0, 2.0},
		{"for ever", -1, 0, 0.0, nil},
		{"clock ahead", time.Second, time.Hour, 3600.0, 3602.0},
		{"clock behind", time.Second, -time.Hour, -3600.0, -3598.0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &testserver.Server{TTL: tt.ttl, ClockOffset: tt.clock}
			bubble(t, srv, func(t *testing.T) {
				value := srv.Issue("alice")
				claims := jwt.MapClaims{}
				if _, err := jwt.NewParser(jwt.WithoutClaimsValidation()).ParseWithClaims(value, claims, func(*jwt.Token) (any, error) {
					return []byte(testserver.DefaultSecret), nil
				}); err != nil {
					t.Fatal(err)
				}
				start := float64(in(0))
				if claims["user_id"] != "alice" || claims["iat"] != start+tt.iat.(float64) {
					t.Errorf("claims %v, want alice's with iat %v after %v", claims, tt.iat, start)
				}
				if exp, ok := claims["exp"].(float64); ok != (tt.exp != nil) || ok && exp != start+tt.exp.(float64) {
					t.Errorf("exp %v, want %v after %v", claims["exp"], tt.exp, start)
				}
				if code := (caller{rt: srv, token: value}).ping(); code != 0 {
					t.Errorf("the new token is rejected with code %d", code)
				}
				if srv.Issue("alice") == value {
					t.Error("two tokens of the same second are the same")
				}
			})
		})
	}
	defer func() {
		if recover() == nil {
			t.Error("Issue takes an empty user id")
		}
	}()
	new(testserver.Server).Issue("")
}

// Judgement goes by the server's clock, which can be moved under way.
func TestClock(t *testing.T) {
	srv := &testserver.Server{TTL: time.Minute}
	bubble(t, srv, func(t *testing.T) {
		alice := caller{rt: srv, token: srv.Issue("alice")}
		srv.AdvanceClock(time.Hour)
		if code := alice.ping(); code != 40 {
			t.Errorf("an hour later: code %d, want 40", code)
		}
		srv.AdvanceClock(-time.Hour)
		if code := alice.ping(); code != 0 {
			t.Errorf("back again: code %d", code)
		}
		srv.AdvanceClock(-time.Hour)
		if code := alice.ping(); code != 42 {
			t.Errorf("an hour earlier: code %d, want 42", code)
		}
	})
}
