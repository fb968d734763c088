package shared_test

import (
	"fmt"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// These are about what takes the place of what. A logout or a later login does, however often the
// login before was refreshed, by whomever, and whatever the store loses.

// bare is a token without a refresh token.
func bare(value string) provider.Token { return provider.NewToken(value, time.Time{}) }

// numbered is a provider without refresh tokens that takes 10 seconds for each.
func numbered() provider.TokenProvider {
	n := 0
	return tokens(func() provider.Token {
		time.Sleep(10 * time.Second)
		n++
		return bare(fmt.Sprintf("own-%d", n))
	})
}

// withItsOwn returns a process that has logged in with token-0, and then got a token by itself as its
// network had the fault.
func withItsOwn(t *testing.T, s shared.Store, fault func(string) (bool, error)) (p *shared.Login, net *network, own provider.Token) {
	t.Helper()
	net = &network{Store: s}
	p = newLogin(numbered(), net, "alice")
	logIn(t, p, bare("token-0"))
	net.set(fault)
	return p, net, wantToken(t, p, bare("token-0"), "own-1")
}

func logIn(t *testing.T, p *shared.Login, token provider.Token) {
	t.Helper()
	if err := p.Login(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

// A last word is a logout, or a login, that comes after what a test has done before.
type lastWord bool

const logout, login lastWord = true, false

// forLastWords runs a test with each.
func forLastWords(t *testing.T, test func(t *testing.T, word lastWord)) {
	for name, word := range map[string]lastWord{"logout": logout, "login": login} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, word) })
		})
	}
}

func (w lastWord) by(t *testing.T, p *shared.Login) {
	t.Helper()
	if w == login {
		logIn(t, p, bare("new").WithRefreshToken("new secret"))
	} else if err := p.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantFor checks that it holds for p, which had the token old before.
func (w lastWord) wantFor(t *testing.T, p *shared.Login, old provider.Token) {
	t.Helper()
	if w == login {
		wantToken(t, p, provider.Token{}, "new")
	} else {
		wantEnded(t, p, old)
	}
}

// TestLastWordWhileAlone: a process without a store gets a second token of its own, and the store is
// back before that has come.
func TestLastWordWhileAlone(t *testing.T) {
	forLastWords(t, func(t *testing.T, word lastWord) {
		m := new(storetest.Memory)
		p, net, old := withItsOwn(t, m, down)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Token(t.Context(), old) })
		time.Sleep(5 * time.Second)
		net.set(nil)
		word.by(t, p)
		wg.Wait()
		word.wantFor(t, p, old)
		word.wantFor(t, newLogin(new(singleUse), m, "alice"), old)
	})
}

// TestTwoWordsDuringRefresh: there is a logout during a refresh, and then another word, and the
// store is away when the answer comes.
func TestTwoWordsDuringRefresh(t *testing.T) {
	forLastWords(t, func(t *testing.T, word lastWord) {
		endSaves(t)
		net := &network{Store: loggedIn(t)}
		p := newLogin(&singleUse{work: 10 * time.Second}, net, "alice")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Token(t.Context(), first()) })
		time.Sleep(time.Second)
		logout.by(t, p)
		word.by(t, p)
		net.set(down)
		wg.Wait()
		if token, err := p.Token(t.Context(), first()); err == nil && token.Value() != "new" {
			t.Errorf("Token while the store is away = %q", token.Value())
		}
		net.set(nil)
		word.wantFor(t, p, first())
	})
}

// TestLastWordInAnEmptyStore: the store loses all in a refresh, one who knows nothing logs in or
// out, and the store is away when the answer comes.
func TestLastWordInAnEmptyStore(t *testing.T) {
	forLastWords(t, func(t *testing.T, word lastWord) {
		endSaves(t)
		m, backend := new(storetest.Memory), new(singleUse)
		net := &network{Store: m}
		p := newLogin(backend, net, "alice")
		logIn(t, p, first())
		old := wantToken(t, p, first(), "token-1")
		backend.work = 20 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = p.Token(t.Context(), old) })
		time.Sleep(time.Second)
		m.Lose()
		word.by(t, newLogin(backend, m, "alice")) // which p sees when it renews its lease
		time.Sleep(10 * time.Second)
		net.set(down)
		wg.Wait()
		net.set(nil)
		time.Sleep(5 * time.Second) // in which the background would save
		word.wantFor(t, newLogin(backend, m, "alice"), old)
		word.wantFor(t, p, old)
	})
}

// TestLostWordAndRefresh: the store loses a last word, and one who does not know of it refreshes the
// login before until its end, before the others look. All who have seen the word keep to it, also
// who has seen nothing else.
func TestLostWordAndRefresh(t *testing.T) {
	forLastWords(t, func(t *testing.T, word lastWord) {
		s, backend, service, command := serviceAndCommand(t)
		old := wantToken(t, service, first(), "token-1")
		late := newLogin(backend, s, "alice")
		word.by(t, command)
		word.wantFor(t, service, old)
		word.wantFor(t, late, old)
		s.forget(1)
		old = wantToken(t, newLogin(backend, s, "alice"), old, "token-2")
		word.wantFor(t, late, old)
		word.wantFor(t, service, old)
		word.wantFor(t, command, old)
	})
}

// TestTwoLostWords: the store loses a logout and the login after it, and another begins to refresh
// the login before both.
func TestTwoLostWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, service, command := serviceAndCommand(t)
		wantToken(t, service, provider.Token{}, "token-0")
		logout.by(t, command)
		wantEnded(t, service, first())
		login.by(t, command)
		wantToken(t, service, first(), "new")
		s.forget(2)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { _, _ = newLogin(numbered(), s, "alice").Token(t.Context(), first()) })
		synctest.Wait()
		wantToken(t, service, provider.Token{}, "new")
		wantToken(t, command, provider.Token{}, "new")
	})
}

// TestTwoLostLogins: of three logins the store loses two. One who knows the last can't write for a
// while, in which one who knows the second writes that back.
func TestTwoLostLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, backend, _, command := serviceAndCommand(t)
		net := &network{Store: s}
		service, another := newLogin(backend, net, "alice"), newLogin(backend, s, "alice")
		wantToken(t, service, bare("none"), "token-0")
		wantToken(t, another, bare("none"), "token-0")
		logIn(t, command, bare("second").WithRefreshToken("second secret"))
		wantToken(t, service, bare("none"), "second")
		wantToken(t, another, bare("none"), "second")
		logIn(t, command, bare("third").WithRefreshToken("third secret"))
		wantToken(t, service, bare("none"), "third")
		s.forget(2)
		net.set(readOnly)
		wantToken(t, service, provider.Token{}, "third") // from memory
		wantToken(t, another, provider.Token{}, "second")
		net.set(nil)
		wantToken(t, service, provider.Token{}, "third")
		wantToken(t, another, provider.Token{}, "third")
	})
}

// TestOlderDataCameBack: after a logout in an emptied store that has the data of before again.
func TestOlderDataCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(forgetful)
		p := newLogin(new(singleUse), s, "alice")
		logIn(t, p, first())
		old := wantToken(t, p, first(), "token-1")
		before := s.writes
		s.writes = nil
		logout.by(t, p)
		wantEnded(t, p, old)
		s.writes = before
		wantEnded(t, p, old)
	})
}

// TestLostRejection: the store loses the end of a login. The refresh token that was rejected, and
// may be spent, is not sent again by one who knows.
func TestLostRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, calls := new(forgetful), 0
		p := newLogin(reject(&calls), s, "alice")
		logIn(t, p, first())
		wantEnded(t, p, first())
		s.forget(2) // the claim and the end
		if wantEnded(t, p, first()); calls != 1 {
			t.Errorf("the refresh token was sent %d times", calls)
		}
	})
	synctest.Test(t, func(t *testing.T) { // by another
		s, calls := new(forgetful), 0
		p := newLogin(new(singleUse), s, "alice")
		logIn(t, p, first())
		wantEnded(t, newLogin(reject(&calls), s, "alice"), first())
		wantEnded(t, p, first())
		s.forget(2)
		wantEnded(t, p, first())
	})
	synctest.Test(t, func(t *testing.T) { // of one that began with the caller's token
		s, calls := new(forgetful), 0
		p := newLogin(reject(&calls), s, "alice")
		wantEnded(t, p, first())
		s.forget(2)
		if wantEnded(t, p, first()); calls != 1 {
			t.Errorf("the caller's refresh token was sent %d times", calls)
		}
	})
}

// TestNewSessionAfterALoss: the store loses a logout, and who knows of it begins a new session. That
// it writes the logout back is no attempt that has failed.
func TestNewSessionAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(forgetful)
		p := newLogin(new(singleUse), s, "alice")
		logIn(t, p, first())
		logout.by(t, p)
		s.forget(1)
		wantToken(t, p, provider.Token{}, "token-1")
	})
}

// TestOwnTokenIsNotNewer: a process that was cut off, and had two tokens of its own meanwhile, finds
// the one that the others have got after it.
func TestOwnTokenIsNotNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		p, net, old := withItsOwn(t, m, down)
		others := newLogin(answer(bare("fresh")), m, "alice")
		wantToken(t, p, old, "own-2")
		time.Sleep(24 * time.Hour)
		wantToken(t, others, bare("token-0"), "fresh")
		net.set(nil)
		wantToken(t, p, provider.Token{}, "fresh")
		wantToken(t, others, provider.Token{}, "fresh")
	})
}

// TestLogoutWhileAnotherLogsIn: the Provider of one process logs in by itself, and another logs out.
// That is later whatever the clocks say: the one of the other is far behind.
func TestLogoutWhileAnotherLogsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(storetest.Memory)
		var wg sync.WaitGroup
		wg.Go(func() { wantEnded(t, newLogin(numbered(), m, "alice"), provider.Token{}) })
		synctest.Wait()
		other := newLogin(new(singleUse), m, "alice")
		logout.by(t, other)
		record := regexp.MustCompile(`"epoch":\d+`).ReplaceAllString(raw(t, m), `"epoch":1`)
		_, version, _ := m.Load(t.Context(), "alice")
		if _, err := m.CompareAndSwap(t.Context(), "alice", []byte(record), version); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		wantEnded(t, newLogin(new(singleUse), m, "alice"), first())
	})
}
