package shared_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// runs returns how often a proof runs: few times, or many with STAYAUTH_PROOF=1 in the environment.
// Each prints its row.
func runs(few, many int) int {
	if os.Getenv("STAYAUTH_PROOF") != "" {
		return many
	}
	return few
}

// TestProofCutThenHangs: the holder's way to the store is cut for 7 s, and then an operation hangs.
func TestProofCutThenHangs(t *testing.T) {
	n, lost, dice := runs(20, 100), 0, newDice(t)
	for range n {
		synctest.Test(t, func(t *testing.T) {
			m, backend := loggedIn(t), &singleUse{work: 30 * time.Second}
			net := &network{Store: m, delay: dice.below(20 * time.Millisecond)}
			start := time.Now().Add(dice.below(5 * time.Second))
			var hung atomic.Bool
			net.set(func(string) (bool, error) {
				switch since := time.Since(start); {
				case since > 0 && since < 7*time.Second:
					return false, errors.New("network: cut")
				case since >= 7*time.Second && !hung.Swap(true):
					return false, errHang
				}
				return true, nil
			})
			var wg sync.WaitGroup
			for _, s := range []shared.Store{net, m, m, m, m} {
				wg.Go(func() {
					l := newLogin(backend, s, "alice")
					for {
						_, err := l.Token(t.Context(), first())
						if err == nil || provider.IsPermanent(err) {
							return
						}
						time.Sleep(dice.below(time.Second))
					}
				})
			}
			wg.Wait()
			if backend.reused > 0 || backend.most > 1 {
				lost++
			}
		})
	}
	t.Logf("| store cut for 7 s and then hangs, lease 15 s | lost: %d of %d runs |", lost, n)
	if lost > 0 {
		t.Errorf("the login was lost in %d of %d runs", lost, n)
	}
}

// TestProofTakingOver: the holder is dead, and operations of the store fail. Five others want a
// token, each as a transport does: half a minute at a time, with a pause after an error.
func TestProofTakingOver(t *testing.T) {
	for _, fails := range []float64{0, 0.05, 0.1, 0.2, 0.3} {
		var waited []time.Duration
		dice := newDice(t)
		for range runs(40, 600) {
			synctest.Test(t, func(t *testing.T) {
				m, backend := loggedIn(t), new(singleUse)
				abandonLease(t, m, 15*time.Second)
				start := time.Now()
				var mu sync.Mutex // guards waited
				var wg sync.WaitGroup
				for range 5 {
					net := &network{Store: m, delay: time.Millisecond}
					net.set(func(string) (bool, error) {
						if x := dice.share(); x < fails {
							return x < fails/2, errLost
						}
						return true, nil
					})
					l := &shared.Login{Provider: backend, Store: net, Key: "alice", Logger: slog.New(slog.DiscardHandler)}
					wg.Go(func() {
						for {
							ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
							_, err := l.Token(ctx, first())
							cancel()
							if err == nil {
								break
							}
							if provider.IsPermanent(err) {
								t.Errorf("Token: %v", err)
								break
							}
							time.Sleep(dice.below(time.Second))
						}
						mu.Lock()
						defer mu.Unlock()
						waited = append(waited, time.Since(start))
					})
				}
				wg.Wait()
				endSaves(t)
			})
		}
		slices.Sort(waited)
		median, worst := waited[len(waited)/2], waited[len(waited)-1]
		t.Logf("| taking over, %2.0f %% of the operations fail | median %v, worst %v of %d |", 100*fails,
			median.Round(100*time.Millisecond), worst.Round(100*time.Millisecond), len(waited))
		if median > 28*time.Second || worst > 2*time.Minute {
			t.Errorf("with %.0f %% of the operations failing it took a median of %v, and %v at worst; want at most 28 s, and 2 min",
				100*fails, median, worst)
		}
	}
}

// TestProofIdle counts what fifty idle hosts cost the store in an hour, and what they cost where a
// token lives for ten minutes.
func TestProofIdle(t *testing.T) {
	for _, life := range []time.Duration{0, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			m, backend, dice := loggedIn(t), &singleUse{life: life, work: 200 * time.Millisecond}, newDice(t)
			var nets []*network
			start := time.Now()
			var wg sync.WaitGroup
			for range hosts {
				net := &network{Store: m, delay: time.Millisecond}
				nets = append(nets, net)
				l := newLogin(backend, net, "alice")
				wg.Go(func() {
					token := wantAny(t, l, first())
					net.reset()
					for life > 0 {
						// Early, as a transport does, with its jitter.
						time.Sleep(time.Until(token.Expiry()) - life/5 - dice.below(life/20))
						if time.Since(start) > time.Hour {
							return
						}
						token = wantAny(t, l, token)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Until(start.Add(time.Hour)))
			loads, swaps := 0, 0
			for _, net := range nets {
				loads, swaps = loads+net.loads, swaps+net.swaps
			}
			what := "idle"
			if life > 0 {
				what = fmt.Sprintf("with tokens of %v", life)
			}
			t.Logf("| %d hosts %s, an hour | %d loads, %d writes, %d provider calls |", hosts, what, loads, swaps, backend.calls)
			if life == 0 && loads+swaps != 0 || loads > 1000 || swaps > 1000 {
				t.Errorf("%d loads and %d writes; want none of idle hosts, and less than 1000", loads, swaps)
			}
		})
	}
}
