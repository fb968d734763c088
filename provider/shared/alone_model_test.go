package shared_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// TestModelAlone runs schedules of a login without refresh tokens. Each process has a way to the
// store of its own, that takes no writes at times, or nothing at all, and gets tokens of its own then;
// people log in, sessions and tokens are revoked, the store forgets.
//
// No process may be told for good that the login has ended unless it has looked after all that it
// did, and there is no token that works; none may be without a token for long where one is to be
// had; and no call asks the Provider on and on.
//
// STAYAUTH_MODEL and STAYAUTH_SEED are as for TestModel.
func TestModelAlone(t *testing.T) {
	schedules, first, step := drawSchedules(300, 50)
	var all aloneCounts
	for i := range uint64(schedules) {
		seed := first + i*step
		w := &aloneWorld{dice: diceOf(seed), tokens: make(map[string]*aloneToken)}
		synctest.Test(t, w.run)
		if w.failure != "" {
			t.Fatalf("%s\nSTAYAUTH_SEED=%d tells this story:\n%s", w.failure, seed, strings.Join(w.story, "\n"))
		}
		all.add(w.counts)
	}
	t.Logf("%d schedules, %+v", schedules, all)
	if all.own == 0 || all.ended == 0 || all.asked == 0 {
		t.Errorf("%+v: the model proves little", all)
	}
}

// What has come up in schedules.
type aloneCounts struct{ asked, own, ended, logins int }

func (c *aloneCounts) add(d aloneCounts) {
	c.asked, c.own, c.ended, c.logins = c.asked+d.asked, c.own+d.own, c.ended+d.ended, c.logins+d.logins
}

// An aloneWorld is one schedule, in a bubble.
type aloneWorld struct {
	dice    *dice
	store   forgetful
	logsIn  bool // the Provider does, for a new session
	forgets bool // the store does

	mu      sync.Mutex // guards the fields below; never held across a wait
	session int        // the one that is not revoked
	tokens  map[string]*aloneToken
	counts  aloneCounts
	story   []string
	failure string
	over    bool
}

type aloneToken struct {
	session int
	ends    time.Time
	revoked bool
}

// An aloneProcess is a process, and its way to the store.
type aloneProcess struct {
	w    *aloneWorld
	name string
	way  network

	mu                 sync.Mutex // guards the fields below; never held across a wait
	readable, writable bool
	looked, did        time.Time // when the store, and when the Provider or a write that failed, answered last
	found              string    // the token that was in the store then
	asked              int       // how often the Provider was
}

func (w *aloneWorld) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, fmt.Sprintf("%v "+format, append([]any{time.Since(begin).Round(time.Millisecond)}, args...)...))
}

func (w *aloneWorld) fail(format string, args ...any) {
	w.tell(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
	w.over = true
}

func (w *aloneWorld) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// mint makes a token. The caller holds mu.
func (w *aloneWorld) mint() provider.Token {
	value := fmt.Sprintf("token-%d", len(w.tokens))
	w.tokens[value] = &aloneToken{session: w.session, ends: time.Now().Add(2*time.Minute + w.dice.below(8*time.Minute))}
	return bare(value)
}

// revoke revokes one token, and returns it.
func (w *aloneWorld) revoke() string {
	which := w.dice.share()
	w.mu.Lock()
	defer w.mu.Unlock()
	value := fmt.Sprintf("token-%d", int(which*float64(len(w.tokens))))
	w.tokens[value].revoked = true
	return value
}

// works reports whether the API takes a token.
func (w *aloneWorld) works(value string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tokens[value]
	return t != nil && t.session == w.session && !t.revoked && time.Now().Before(t.ends)
}

// shared returns the token that is in the store.
func (w *aloneWorld) shared() string {
	record, _, _ := w.store.Load(context.Background(), "")
	return tokenIn(record)
}

func tokenIn(record []byte) string {
	var d struct{ Token string }
	_ = json.Unmarshal(record, &d)
	return d.Token
}

func (w *aloneWorld) run(t *testing.T) {
	w.logsIn, w.forgets = w.dice.share() < 0.4, w.dice.share() < 0.3
	person := newLogin(new(singleUse), &w.store, "alice")
	logIn(t, person, w.mint())
	var wg sync.WaitGroup
	for i := range 2 + int(w.dice.share()*2) {
		p := &aloneProcess{w: w, name: string(rune('A' + i)), readable: true, writable: true}
		p.way.Store, p.way.delay = &w.store, w.dice.below(100*time.Millisecond)
		wg.Go(p.disturb)
		wg.Go(p.live)
	}
	wg.Go(func() { w.people(t, person) })
	for range 30 {
		if time.Sleep(time.Minute); w.isOver() {
			break
		}
	}
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	wg.Wait()
	time.Sleep(time.Hour) // for what is left in the background
}

// people revoke, and log in some time later. The store forgets as often.
func (w *aloneWorld) people(t *testing.T, person *shared.Login) {
	for !w.isOver() {
		time.Sleep(w.dice.below(3 * time.Minute))
		if w.forgets && w.dice.share() < 0.3 {
			n := 1 + int(w.dice.share()*3)
			w.store.forget(n)
			w.tell("the store forgets %d writes", n)
		}
		if w.dice.share() < 0.5 {
			w.tell("%s is revoked", w.revoke())
			continue
		}
		w.mu.Lock()
		w.session++
		w.mu.Unlock()
		w.tell("the session is revoked")
		time.Sleep(w.dice.below(time.Minute))
		w.mu.Lock()
		token := w.mint()
		w.counts.logins++
		w.mu.Unlock()
		w.tell("a person logs in: %s", token.Value())
		_ = person.Login(t.Context(), token)
	}
}

// disturb has the way to the store fail, one time after the other.
func (p *aloneProcess) disturb() {
	faults := []struct {
		name               string
		fault              func(string) (bool, error)
		readable, writable bool
	}{
		{"takes no writes", full, true, false}, {"fails to write", readOnly, true, false}, {"hangs in writes", hangWrites, true, false},
		{"is away", down, false, false}, {"hangs", hang, false, false},
	}
	d := p.w.dice
	for !p.w.isOver() {
		time.Sleep(d.below(time.Minute))
		f, most := faults[int(d.share()*float64(len(faults)))], 2*time.Minute
		if f.readable && d.share() < 0.3 {
			most = 20 * time.Minute
		}
		p.set(f.readable, f.writable)
		p.way.set(f.fault)
		p.w.tell("%s: the store %s", p.name, f.name)
		for left := d.below(most); left > 0 && !p.w.isOver(); left -= time.Second {
			time.Sleep(time.Second)
		}
		p.way.set(nil)
		p.set(true, true)
		p.w.tell("%s: the store is back", p.name)
	}
}

func (p *aloneProcess) set(readable, writable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readable, p.writable = readable, writable
}

// Load implements [shared.Store].
func (p *aloneProcess) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := p.way.Load(ctx, key)
	p.saw(record, err)
	return record, version, err
}

// CompareAndSwap implements [shared.Store].
func (p *aloneProcess) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	version, err := p.way.CompareAndSwap(ctx, key, record, version)
	p.saw(record, err)
	return version, err
}

func (p *aloneProcess) saw(record []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.did = time.Now()
		return
	}
	p.looked, p.found = time.Now(), tokenIn(record)
}

// Token implements [provider.TokenProvider], for all processes: it answers or rejects what it is given
// at some time while it is at work.
func (p *aloneProcess) Token(_ context.Context, old provider.Token) (provider.Token, error) {
	w := p.w
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	time.Sleep(w.dice.below(10 * time.Second))
	w.mu.Lock()
	w.counts.asked++
	has := w.tokens[old.Value()]
	rejected, fails := old.IsZero() && !w.logsIn || has != nil && (has.session != w.session || has.revoked), w.dice.share() < 0.1
	var token provider.Token
	if !rejected && !fails {
		token = w.mint()
	}
	w.mu.Unlock()
	time.Sleep(w.dice.below(10 * time.Second))
	w.tell("%s asks with %q: rejected %v, fails %v, %q", p.name, old.Value(), rejected, fails, token.Value())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did = time.Now()
	switch {
	case fails:
		return provider.Token{}, errors.New("the backend is busy")
	case rejected:
		return provider.Token{}, provider.Permanent(fmt.Errorf("%q is revoked", old.Value()))
	}
	return token, nil
}

// live uses the login as a transport does, and begins a new session when one is over.
func (p *aloneProcess) live() {
	w := p.w
	l := &shared.Login{Provider: p, Store: p, Key: "alice", Logger: new(journal).logger(), WaitForLogin: w.dice.share() < 0.3}
	var old provider.Token
	missing := time.Now() // since when there is no token, though there could be one
	for !w.isOver() {
		if w.works(old.Value()) {
			time.Sleep(time.Second)
			missing = time.Now()
			continue
		}
		p.mu.Lock()
		began, asked := time.Now(), p.asked
		p.mu.Unlock()
		limit := time.Hour
		if w.dice.share() < 0.3 {
			limit = w.dice.below(30 * time.Second)
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		token, err := l.Token(ctx, old)
		cancel()
		w.tell("%s: Token(%q) = %q, %v, after %v", p.name, old.Value(), token.Value(), err, time.Since(began))
		p.judge(l, old, token, err, began, asked)
		switch {
		case err == nil:
			old = token
		case provider.IsPermanent(err):
			old = provider.Token{}
		}
		p.mu.Lock()
		readable := p.readable
		p.mu.Unlock()
		if !readable || !w.works(w.shared()) && (!w.logsIn || l.WaitForLogin) {
			missing = time.Now()
		}
		if since := time.Since(missing); since > 3*time.Minute && !w.works(old.Value()) {
			w.fail("%s has had no token for %v", p.name, since)
		}
		time.Sleep(w.dice.below(time.Second))
	}
}

// judge looks at how a call has ended.
func (p *aloneProcess) judge(l *shared.Login, old, token provider.Token, err error, began time.Time, asked int) {
	w := p.w
	p.mu.Lock()
	calls, looked, did, found := p.asked-asked, p.looked, p.did, p.found
	if err == nil && !p.writable && calls > 0 {
		w.mu.Lock()
		w.counts.own++
		w.mu.Unlock()
	}
	p.mu.Unlock()
	switch took := time.Since(began); {
	case calls > 2:
		w.fail("one call of %s has asked %d times", p.name, calls)
	case took > 3*time.Minute:
		w.fail("a call of %s took %v", p.name, took)
	case err == nil && token.Value() == old.Value():
		w.fail("%s got what it had, %s", p.name, old.Value())
	}
	if !provider.IsPermanent(err) {
		return
	}
	w.mu.Lock()
	w.counts.ended++
	w.mu.Unlock()
	switch {
	case l.WaitForLogin:
		w.fail("%s waits for a login, and was told for good: %v", p.name, err)
	case looked.Before(did):
		w.fail("%s was told for good what it has not looked for: %v", p.name, err)
	case !w.forgets && found != old.Value() && w.works(found): // what a store forgets may have been newer
		w.fail("%s was told for good, and had read %q: %v", p.name, found, err)
	}
}
