package shared_test

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/storetest"
)

// These are about sessions that a Provider begins by itself, in the place of a login that has ended
// or is lost.

// configured is the backend b as a [provider.OAuth2] with a RefreshToken asks it: a session without
// one begins with that.
func configured(b *singleUse) provider.TokenProvider {
	return provider.TokenFunc(func(ctx context.Context, old provider.Token) (provider.Token, error) {
		if old.RefreshToken() == "" {
			old = old.WithRefreshToken("configured")
		}
		return b.Token(ctx, old)
	})
}

// unable can't begin a session: for now, or not at all.
func unable(permanent bool) provider.TokenProvider {
	return provider.Func(func(context.Context) (string, error) {
		if permanent {
			return "", provider.Permanent(errors.New("log in first"))
		}
		return "", errors.New("503")
	})
}

// TestSessionTakenOver: a host begins a session and is cut off for longer than its lease. Its answer
// is saved all the same, and serves the one who took over, too.
func TestSessionTakenOver(t *testing.T) {
	for name, ended := range map[string]bool{"in an empty store": false, "after a logout": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, b := new(storetest.Memory), &singleUse{work: 40 * time.Second}
				net := &network{Store: m}
				p, other := newLogin(configured(b), net, "alice"), newLogin(configured(b), m, "alice")
				if ended {
					logout.by(t, other)
				}
				takenOver(net, 30*time.Second, func() { wantToken(t, p, provider.Token{}, "token-1") }, func() {
					wantToken(t, other, provider.Token{}, "token-1") // it is rejected at last
				}).Wait()
			})
		})
	}
}

// TestSessionThatCannotBegin: a host has an answer that it could not save yet, where another has been
// rejected, or there was a logout before. A third tries to begin a session in vain, which changes
// nothing: the answer is saved.
func TestSessionThatCannotBegin(t *testing.T) {
	for name, permanent := range map[string]bool{"for now": false, "at all": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // over a rejection
				endSaves(t)
				m, b := loggedIn(t), new(singleUse)
				net := &network{Store: m}
				p := newLogin(slowAnswer{time.Second, func() {
					_, _ = b.begin(first())
					b.end()
					net.set(down)
				}}, net, "alice")
				old := wantToken(t, p, first(), "token-1")
				wantEnded(t, newLogin(b, m, "alice"), first())
				_, _ = newLogin(unable(permanent), m, "alice").Token(t.Context(), provider.Token{})
				net.set(nil)
				time.Sleep(5 * time.Second)
				wantToken(t, p, bare("none"), old.Value())
				wantToken(t, newLogin(b, m, "alice"), first(), old.Value())
			})
			synctest.Test(t, func(t *testing.T) { // over a logout
				endSaves(t)
				m, b := loggedIn(t), new(singleUse)
				logout.by(t, newLogin(b, m, "alice"))
				net := &network{Store: m}
				p := newLogin(slowAnswer{time.Second, func() { net.set(down) }}, net, "alice")
				old := wantToken(t, p, provider.Token{}, "token-1")
				_, _ = newLogin(unable(false), m, "alice").Token(t.Context(), provider.Token{})
				net.set(nil)
				time.Sleep(5 * time.Second)
				wantToken(t, p, bare("none"), old.Value())
				wantToken(t, newLogin(b, m, "alice"), bare("none"), old.Value())
			})
			synctest.Test(t, func(t *testing.T) { // over a logout, where nothing can be saved at all
				m := loggedIn(t)
				logout.by(t, newLogin(new(singleUse), m, "alice"))
				net := &network{Store: m}
				net.set(full)
				p := newLogin(numbered(), net, "alice")
				old := wantToken(t, p, provider.Token{}, "own-1")
				_, _ = newLogin(unable(false), m, "alice").Token(t.Context(), provider.Token{})
				wantToken(t, p, old, "own-2")
			})
		})
	}
}

// TestFailedSessionIsLost: a process knows of a rejection and of a session that could not begin. The
// store loses both, and another refreshes the login, which works again.
func TestFailedSessionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(forgetful)
		p, other := newLogin(reject(new(int)), s, "alice"), newLogin(new(singleUse), s, "alice")
		logIn(t, p, first())
		wantEnded(t, p, first())
		p.Provider = unable(false)
		_, _ = p.Token(t.Context(), provider.Token{})
		s.forget(4)
		wantToken(t, other, first(), "token-1")
		wantToken(t, p, first(), "token-1")
		wantToken(t, other, provider.Token{}, "token-1")
	})
}

// TestLastWordWrittenBackMeanwhile: the store has lost a last word, and one who knows nothing begins
// with the token of the login before, or by itself. While the Provider works the word is written
// back: it stands.
func TestLastWordWrittenBackMeanwhile(t *testing.T) {
	for _, old := range []provider.Token{first(), {}} {
		forLastWords(t, func(t *testing.T, word lastWord) {
			m, b := loggedIn(t), &singleUse{work: 10 * time.Second}
			p := newLogin(b, m, "alice")
			word.by(t, p)
			m.Lose()
			time.Sleep(time.Second)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = newLogin(b, m, "alice").Token(t.Context(), old) })
			time.Sleep(time.Second)
			word.wantFor(t, p, first())
			wg.Wait()
			word.wantFor(t, p, first())
			word.wantFor(t, newLogin(b, m, "alice"), first())
		})
	}
}

// TestSpentLoginWrittenBackMeanwhile: the same with the login whose refresh token the Provider was
// given. What came of that takes its place.
func TestSpentLoginWrittenBackMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, b := loggedIn(t), &singleUse{work: 10 * time.Second}
		p := newLogin(b, m, "alice")
		wantToken(t, p, provider.Token{}, "token-0")
		m.Lose()
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, newLogin(b, m, "alice"), first(), "token-1") })
		time.Sleep(time.Second)
		wantToken(t, p, provider.Token{}, "token-0") // and is written back
		wg.Wait()
		wantToken(t, p, wantToken(t, p, first(), "token-1"), "token-2")
		b.want(t, 2)
	})
}

// TestRejectedSessionTakenOver: a session's lease was taken over. That it is rejected does not end
// the login for who took over, nor for those who wait for that.
func TestRejectedSessionTakenOver(t *testing.T) {
	for name, dead := range map[string]bool{"over a logout": false, "over a dead login": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				if dead {
					wantEnded(t, newLogin(reject(new(int)), m, "alice"), first())
				} else {
					logout.by(t, newLogin(new(singleUse), m, "alice"))
				}
				net := &network{Store: m}
				p := newLogin(slowReject(25*time.Second, new(int)), net, "alice")
				other := newLogin(slowAnswer{20 * time.Second, func() {}}, m, "alice")
				takenOver(net, 20*time.Second, func() { wantToken(t, p, provider.Token{}, "token-1") }, func() {
					wantToken(t, other, provider.Token{}, "token-1")
				}).Wait()
			})
		})
	}
}

// TestLostWordInARefresh: the store loses a last word of whomever during a refresh, or a session that
// the Provider begins by itself. Who knows of it takes its own answer for void.
func TestLostWordInARefresh(t *testing.T) {
	for name, test := range map[string]struct {
		begins, others bool
	}{
		"its own, in a refresh":   {false, false},
		"its own, in a session":   {true, false},
		"another's, in a refresh": {false, true},
		"another's, in a session": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			forLastWords(t, func(t *testing.T, word lastWord) {
				s, old := new(forgetful), provider.Token{}
				p := newLogin(&singleUse{work: 8 * time.Second}, s, "alice")
				other := newLogin(new(singleUse), s, "alice")
				if !test.begins {
					old = first()
					logIn(t, p, old)
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					if token, err := p.Token(t.Context(), old); err == nil && token.Value() != "new" {
						t.Errorf("Token after that = %q", token.Value())
					}
				})
				time.Sleep(time.Second)
				if test.others {
					word.by(t, other)
				} else {
					word.by(t, p)
				}
				time.Sleep(6 * time.Second) // in which it renews its lease
				s.forget(9)
				wg.Wait()
				word.wantFor(t, p, bare("token-1"))
				word.wantFor(t, newLogin(new(singleUse), s, "alice"), bare("token-1"))
			})
		})
	}
}

// TestLoginLostBeforeARejection: a process logs in while the login before is being rejected, and the
// store loses that. The session goes on with the new one.
func TestLoginLostBeforeARejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(forgetful)
		p := newLogin(slowReject(2*time.Second, new(int)), s, "alice")
		logIn(t, p, first())
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, p, first(), "new") })
		time.Sleep(time.Second)
		login.by(t, p)
		s.forget(1)
		wg.Wait()
	})
}

// TestSessionSavedLate: a session that could not be saved in time is later than the logout before it
// all the same, which another knows of and the store has lost.
func TestSessionSavedLate(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			endSaves(t)
			m := loggedIn(t)
			other := newLogin(new(singleUse), m, "alice")
			logout.by(t, other)
			m.Lose()
			time.Sleep(time.Hour)
			net := &network{Store: m}
			p := newLogin(slowAnswer{time.Second, func() {
				if late {
					net.set(down)
				}
			}}, net, "alice")
			old := wantToken(t, p, provider.Token{}, "token-1")
			net.set(nil)
			time.Sleep(time.Minute)
			wantToken(t, other, bare("none"), "token-1")
			wantToken(t, p, bare("none"), old.Value())
		})
	}
}

// TestSessionBesideAClockAhead: the clock of who logged out was ahead, and the store loses that while
// a session begins. It is later all the same, for the one that knew.
func TestSessionBesideAClockAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(forgetful)
		b := &singleUse{work: 2 * time.Second}
		p := newLogin(b, s, "alice")
		logout.by(t, newLogin(b, s, "alice"))
		s.writes[0].record = regexp.MustCompile(`"epoch":\d+`).ReplaceAll(s.writes[0].record, []byte(`"epoch":4000000000000000`))
		var wg sync.WaitGroup
		var token provider.Token
		wg.Go(func() { token = wantToken(t, p, provider.Token{}, "token-1") })
		time.Sleep(time.Second)
		s.forget(9)
		wg.Wait()
		wantToken(t, p, token, "token-2")
	})
}

// TestSpentTokenIsThereAgain: while a refresh of the caller's own token is under way in an empty
// store, a login with that same token is put there, or written back. It is spent: what came of it
// takes its place, also where it could not be saved in time.
func TestSpentTokenIsThereAgain(t *testing.T) {
	for name, test := range map[string]struct {
		away time.Duration // when the store is, after the beginning; 0: it is not
		lost bool          // it is the login before, which another knows
	}{
		"a login":                                 {},
		"a login, saved late":                     {away: 9 * time.Second},
		"a login, never seen, saved late":         {away: 500 * time.Millisecond},
		"the login before":                        {lost: true},
		"the login before, saved late":            {lost: true, away: 9 * time.Second},
		"the login before, unseen and saved late": {lost: true, away: 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endSaves(t)
				m, b := new(storetest.Memory), &singleUse{work: 10 * time.Second}
				net := &network{Store: m}
				other, p := newLogin(b, m, "alice"), newLogin(b, net, "alice")
				if test.lost {
					logIn(t, other, first())
					m.Lose()
				}
				var wg sync.WaitGroup
				wg.Go(func() { wantToken(t, p, first(), "token-1") })
				if test.away > 0 {
					time.AfterFunc(test.away, func() { net.set(down) })
				}
				time.Sleep(time.Second)
				if test.lost {
					wantToken(t, other, provider.Token{}, "token-0")
				} else {
					logIn(t, other, first())
				}
				time.Sleep(40 * time.Second)
				net.set(nil)
				wg.Wait()
				time.Sleep(time.Minute)
				wantToken(t, other, first(), "token-1")
				b.want(t, 1)
			})
		})
	}
}

// TestLogoutWhileTheAnswerHangs: the answer of a session hangs on its way to the store, and a logout
// goes through beside it.
func TestLogoutWhileTheAnswerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endSaves(t)
		net := &network{Store: new(storetest.Memory)}
		p := newLogin(numbered(), net, "alice")
		var wg sync.WaitGroup
		wg.Go(func() {
			if token, err := p.Token(t.Context(), provider.Token{}); err == nil {
				t.Errorf("Token after a logout = %q", token.Value())
			}
		})
		time.Sleep(9 * time.Second)
		net.set(hang)
		time.Sleep(13500 * time.Millisecond)
		net.set(nil)
		logout.by(t, p)
		net.set(hang)
		wg.Wait()
		net.set(nil)
		wantEnded(t, p, bare("own-1"))
	})
}

// TestRejectedSessionIsLost: a session over a rejection is rejected, and the store has lost its claim.
// That is told at once.
func TestRejectedSessionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(forgetful)
		p := newLogin(reject(new(int)), s, "alice")
		wantEnded(t, p, first())
		p.Provider = provider.Func(func(context.Context) (string, error) {
			s.forget(1)
			return "", provider.Permanent(errRevoked)
		})
		start := time.Now()
		wantEnded(t, p, provider.Token{})
		if after := time.Since(start); after > time.Second {
			t.Errorf("told after %v", after)
		}
	})
}
