package main

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// expire lets the access token in the store end a minute ago by this machine's clock.
func (d *desk) expire() { d.endAt(time.Now().Add(-time.Minute), true) }

// endAt changes when the access token in the store ends, and whether there is a refresh token.
func (d *desk) endAt(end time.Time, refreshable bool) {
	d.t.Helper()
	tool := newTool(d.t.Output(), d.t.Output())
	tool.store.Dir = d.state
	s, _, token, err := tool.loaded(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	ended := provider.NewToken(token.Value(), end)
	if refreshable {
		ended = ended.WithRefreshToken(token.RefreshToken())
	}
	if err := tool.sharedLogin(s).Login(d.t.Context(), ended); err != nil {
		d.t.Fatal(err)
	}
}

// TestExpired: token and status get the next token in place of one that has ended or is about to,
// once.
func TestExpired(t *testing.T) {
	for _, test := range []struct {
		name, command string
		left          time.Duration
		refreshes     int
	}{
		{"token, ended", "token", -time.Minute, 1},
		{"token, about to end", "token", spare / 2, 1},
		{"token, good", "token", time.Minute, 0},
		{"status, ended", "status", -time.Minute, 1},
		{"status, good", "status", time.Minute, 0},
		{"logout, ended", "logout", -time.Minute, 0}, // the refresh token is what is revoked
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			d.login()
			end := time.Now().Add(test.left)
			d.endAt(end, true)
			if test.refreshes > 0 {
				d.Revoke("alice") // so that the API tells which token is printed
			}
			before := d.Ledger().TokenCalls
			out := d.ok(test.command)
			if got := d.Ledger().TokenCalls - before; got != test.refreshes {
				t.Errorf("%d refreshes, want %d", got, test.refreshes)
			}
			if test.command == "token" {
				if status := d.get(strings.TrimSpace(out)); status != http.StatusOK {
					t.Errorf("it prints a token that is answered with %d", status)
				}
			}
			if tells := strings.Contains(out, "good until "+end.Local().Format(time.DateTime)); test.command == "status" && tells != (test.refreshes == 0) {
				t.Errorf("it prints %q, and the token that was there ends at %v", out, end)
			}
		})
	}
}

// TestExpiredForGood: where there is no refresh token, an access token that has ended is the end of
// the login; get still tries it, because this machine's clock may be wrong.
func TestExpiredForGood(t *testing.T) {
	d := newDesk(t)
	d.login()
	d.endAt(time.Now().Add(-time.Minute), false)
	before := d.Ledger().TokenCalls
	d.wants(exitLoggedOut, "there is no refresh token for another\nTry: oauthcli login", "token")
	d.wants(exitLoggedOut, "your login is over", "status")
	d.ok("get", "/me")
	d.endAt(time.Now().Add(spare/2), false)
	d.ok("token")
	if got := d.Ledger().TokenCalls - before; got != 0 {
		t.Errorf("%d refreshes, want none", got)
	}
}

// TestExpiredAndAway: a login that can't be refreshed now is not over, and no token that has ended
// is printed.
func TestExpiredAndAway(t *testing.T) {
	d := newDesk(t)
	d.login()
	d.expire()
	d.goesWrong(away)
	d.wants(exitFailed, "503", "token")
	d.wants(exitFailed, "503", "status")
	d.fault.Store(nil)
	d.ok("token")
}

// away is a server whose token endpoint is down.
func away(r *http.Request) (f testserver.Fault) {
	if r.URL.Path == "/token" {
		f.Status = http.StatusServiceUnavailable
	}
	return f
}

// full is a disk without room, as /dev/full is.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestUnwritableOutput: what can't be printed is said, also by the exit status.
func TestUnwritableOutput(t *testing.T) {
	d := newDesk(t)
	d.login()
	for _, line := range []string{"status", "token", "get /me", "login -device", "logout", "logout"} {
		person := &person{t: t}
		status := newTool(full{}, person).run(t.Context(), d.args(strings.Fields(line)))
		person.went.Wait()
		want := "oauthcli: the output can't be written: " + syscall.ENOSPC.Error() + "\n"
		if status != exitFailed || !strings.HasSuffix(person.seen.String(), want) {
			t.Errorf("%s: exit status %d, and it says %q; want 1 and %q", line, status, person.seen.String(), want)
		}
	}
	d.wants(exitLoggedOut, "you are not logged in", "status") // the logout was one all the same
}

// TestInterruptedReplace: a signal that comes when a person has logged in finds the new login saved
// and the last one gone, and never neither.
func TestInterruptedReplace(t *testing.T) {
	d := newDesk(t)
	d.login()
	tool := newTool(t.Output(), t.Output())
	tool.store.Dir = d.state
	s, _, _, err := tool.loaded(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tool.replaceLogin(interrupted, s, s, provider.NewToken("the new one", time.Time{})); err != nil {
		t.Errorf("the login is not replaced: %v", err)
	}
	if got := strings.TrimSpace(d.ok("token")); got != "the new one" {
		t.Errorf("token prints %q, want the new one", got)
	}
}

// TestInterruptedLogout: when the server was told of the logout the login is removed, too.
func TestInterruptedLogout(t *testing.T) {
	d := newDesk(t)
	d.login()
	ctx, cancel := context.WithCancel(t.Context())
	d.goesWrong(func(r *http.Request) (f testserver.Fault) {
		if r.URL.Path == "/revoke" {
			cancel()
		}
		return f
	})
	var said strings.Builder
	newTool(t.Output(), &said).run(ctx, d.args([]string{"logout"}))
	d.wants(exitLoggedOut, "you are not logged in", "status")
	if ctx.Err() == nil {
		t.Errorf("the server was not told, and it says %q", said.String())
	}
}
