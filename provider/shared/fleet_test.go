package shared_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

const (
	hosts = 50
	life  = 5 * time.Minute
)

// expiries returns how many a fleet lives through: few, or 200 with STAYAUTH_PROOF=1 in the
// environment, which takes a minute.
func expiries() int { return runs(10, 200) }

// runFleet lets hosts share a login until its token has expired so many times. The backend is
// slower than the lease. It returns how many hosts kept their login to the end.
func runFleet(t *testing.T, dice *dice, backend *singleUse, expiries int, through func(shared.Store) shared.Store) (kept int) {
	m := new(storetest.Memory)
	start := provider.NewToken("token-0", time.Now().Add(life)).WithRefreshToken("secret-0")
	if err := newLogin(backend, m, "fleet").Login(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards kept
	var wg sync.WaitGroup
	for range hosts {
		s := through(&network{Store: m, delay: time.Millisecond + dice.below(20*time.Millisecond)})
		p := &shared.Login{Provider: backend, Store: s, Key: "fleet", Logger: slog.New(slog.DiscardHandler)}
		wg.Go(func() {
			token := start
			for range expiries {
				time.Sleep(time.Until(token.Expiry()))
				next, err := p.Token(t.Context(), token)
				for ; err != nil && !provider.IsPermanent(err); next, err = p.Token(t.Context(), token) {
					time.Sleep(dice.below(time.Second))
				}
				if err != nil {
					return
				}
				token = next
			}
			mu.Lock()
			defer mu.Unlock()
			kept++
		})
	}
	wg.Wait()
	return kept
}

func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := &singleUse{life: life, work: 20 * time.Second}
		kept := runFleet(t, newDice(t), backend, expiries(), func(s shared.Store) shared.Store { return s })
		backend.want(t, expiries())
		if kept != hosts || backend.most != 1 {
			t.Errorf("%d hosts kept their login, with up to %d calls at a time; want %d and 1", kept, backend.most, hosts)
		}
	})
}

// TestFleetNeedsRenewal is the control: without renewals a slow backend sees used refresh tokens,
// and the login is lost.
func TestFleetNeedsRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := &singleUse{life: life, work: 20 * time.Second}
		kept := runFleet(t, newDice(t), backend, expiries(), func(s shared.Store) shared.Store { return unrenewed{s} })
		if kept != 0 || backend.most < 2 || backend.reused == 0 {
			t.Errorf("%d hosts kept their login, with up to %d calls at a time and %d used refresh tokens; want 0, more than 1 and some: "+
				"the test above can't tell a store with a lease from one without", kept, backend.most, backend.reused)
		}
	})
}

// unrenewed drops what a holder writes over its own claim: the renewals, also those that answer a
// note of its silence.
type unrenewed struct{ shared.Store }

func (s unrenewed) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	type claim struct {
		Holder string        `json:"holder"`
		Silent time.Duration `json:"silent_ns"`
	}
	var was, is claim
	data, v, err := s.Load(ctx, key)
	_, _ = json.Unmarshal(data, &was), json.Unmarshal(record, &is)
	if err == nil && v == version && was.Holder != "" && is.Holder == was.Holder && is.Silent == 0 {
		return version, nil
	}
	return s.Store.CompareAndSwap(ctx, key, record, version)
}

// TestTakesOver: the holder dies. The others go on one lease after the record changed last.
func TestTakesOver(t *testing.T) {
	for _, died := range []time.Duration{0, 4 * time.Second, 7 * time.Second, 14 * time.Second} {
		t.Run(fmt.Sprint(died), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := loggedIn(t)
				dying := &network{Store: m}
				holder := &shared.Login{Provider: &hanging{}, Store: dying, Key: "alice", Timeout: time.Hour}
				go func() { // ends with its time limit: it is dead to the others long before
					_, _ = holder.Token(t.Context(), first())
				}()
				synctest.Wait()
				start := time.Now()
				time.AfterFunc(died, func() { dying.set(down) })
				lastChange := start.Add(died.Truncate(3 * time.Second))

				backend := new(singleUse)
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() { wantToken(t, newLogin(backend, m, "alice"), first(), "token-1") })
				}
				wg.Wait()
				backend.want(t, 1)
				if after := time.Since(lastChange); after < 15*time.Second || after > 17*time.Second {
					t.Errorf("the others had a token %v after the record changed last; want the 15 s of the lease and a pause or two", after)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// hanging never answers before its context ends.
type hanging struct{}

func (*hanging) Token(ctx context.Context, _ provider.Token) (provider.Token, error) {
	<-ctx.Done()
	return provider.Token{}, ctx.Err()
}

// TestTakesOverAcrossCalls: a caller that never waits for as long as the lease gets there all the
// same.
func TestTakesOverAcrossCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		abandonLease(t, m, 15*time.Second)
		p := newLogin(new(singleUse), m, "alice")
		start := time.Now()
		var err error
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			_, err = p.Token(ctx, first())
			cancel()
			if err == nil {
				break
			}
		}
		if after := time.Since(start); err != nil || after > 18*time.Second {
			t.Errorf("after %v of short calls: %v; want a token soon after the lease of 15 s", after, err)
		}
	})
}

// abandonLease leaves a lease of the given length in the record of alice, as a process does that is
// killed.
func abandonLease(t *testing.T, m *storetest.Memory, lease time.Duration) {
	t.Helper()
	net := &network{Store: m}
	p := &shared.Login{Store: net, Key: "alice", Lease: lease}
	p.Provider = provider.Func(func(context.Context) (string, error) { net.set(down); return "", errors.New("killed") })
	if _, err := p.Token(t.Context(), first()); err == nil {
		t.Fatal("the killed process got a token")
	}
}

// TestRespectsOthersLeases: a process with a short lease waits for the long one of another.
func TestRespectsOthersLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		abandonLease(t, m, time.Minute)
		start := time.Now()
		wantToken(t, &shared.Login{Provider: new(singleUse), Store: m, Key: "alice", Lease: time.Second}, first(), "token-1")
		if after := time.Since(start); after < time.Minute || after > time.Minute+time.Second {
			t.Errorf("the lease of a minute was taken over after %v", after)
		}
	})
}

// TestSilenceOfTheStore: while the store can't be read, a holder can't write either. Its silence is
// not held against it.
func TestSilenceOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, backend := loggedIn(t), &singleUse{work: 30 * time.Second}
		holders, others := &network{Store: m}, &network{Store: m}
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, newLogin(backend, holders, "alice"), first(), "token-1") })
		synctest.Wait()
		time.AfterFunc(time.Second, func() { holders.set(down); others.set(down) })
		time.AfterFunc(19300*time.Millisecond, func() { holders.set(nil); others.set(nil) })
		p := newLogin(backend, others, "alice")
		for {
			token, err := p.Token(t.Context(), first())
			if err == nil {
				if token.Value() != "token-1" {
					t.Errorf("Token = %q, want token-1", token.Value())
				}
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		wg.Wait()
		backend.want(t, 1)
	})
}

// TestTimeout: a provider that hangs does not hold the fleet up for ever, and our time limit looks
// like no one else's.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := loggedIn(t)
		start := time.Now()
		_, err := newLogin(&hanging{}, m, "alice").Token(t.Context(), first())
		if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || provider.IsPermanent(err) {
			t.Errorf("Token with a provider that hangs: %v; want a temporary error that is no context's", err)
		}
		if after := time.Since(start); after != time.Minute {
			t.Errorf("Token returned after %v; want a minute", after)
		}

		release := make(chan struct{})
		deaf := provider.Func(func(context.Context) (string, error) { <-release; return "late", nil })
		var wg sync.WaitGroup
		wg.Go(func() { wantToken(t, newLogin(deaf, m, "alice"), first(), "token-1") }) // its answer is too late
		synctest.Wait()
		start = time.Now()
		wantToken(t, newLogin(new(singleUse), m, "alice"), first(), "token-1")
		if after := time.Since(start); after < 70*time.Second || after > 78*time.Second {
			t.Errorf("a lease whose holder hangs was taken over after %v; want a minute and at most a lease", after)
		}
		close(release)
		wg.Wait()
	})
}
