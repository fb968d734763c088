package shared_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// TestProofBadNetwork: fleets of 50 hosts live through ten expiries while operations of the store
// fail or hang, and the backend is slower than the lease. No host may lose the login, and none may
// bring a used refresh token.
//
// With STAYAUTH_PROOF=1 in the environment there are as many runs as the rows say, which takes more
// than an hour of two processors. A failure tells its seed; STAYAUTH_SEED=n draws the same faults.
func TestProofBadNetwork(t *testing.T) {
	for _, test := range []struct {
		name      string
		network   badNetwork
		few, many int
	}{
		{"7.5 % fail or hang", badNetwork{fail: 0.05, hang: 0.025}, 6, 10_000},
		{"10 % hang", badNetwork{hang: 0.1}, 2, 500},
		{"20 % hang", badNetwork{hang: 0.2}, 2, 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, first := runs(test.few, test.many), rand.Uint64()>>1
			if seed, err := strconv.ParseUint(os.Getenv("STAYAUTH_SEED"), 10, 64); err == nil {
				n, first = 1, seed
			}
			var mu sync.Mutex // guards lost and done
			lost, done := 0, 0
			row := func() {
				t.Logf("| %s, backend slower than the lease, 10 expiries | lost: %d of %d runs |", test.name, lost, done)
			}
			seeds := make(chan uint64)
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					for seed := range seeds {
						kept := false
						t.Run("", func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) { kept = test.network.keepsLogin(t, seed) })
						})
						mu.Lock()
						done++
						if !kept {
							lost++
							t.Errorf("the login was lost, or asked for too often: STAYAUTH_SEED=%d", seed)
						}
						if done%500 == 0 && done < n {
							row()
						}
						mu.Unlock()
					}
				})
			}
			for i := range n {
				seeds <- first + uint64(i)
			}
			close(seeds)
			wg.Wait()
			row()
		})
	}
}

// A badNetwork says how many of the operations fail, half of them after they were carried out, and
// how many hang.
type badNetwork struct{ fail, hang float64 }

// keepsLogin reports whether a fleet comes through with one call of the backend for each expiry.
func (n badNetwork) keepsLogin(t *testing.T, seed uint64) bool {
	dice := diceOf(seed)
	backend := &singleUse{life: life, work: 20 * time.Second}
	kept := runFleet(t, dice, backend, 10, func(s shared.Store) shared.Store {
		s.(*network).set(func(string) (bool, error) {
			switch x := dice.share(); {
			case x < n.fail:
				return x < n.fail/2, errLost
			case x < n.fail+n.hang:
				return false, errHang
			}
			return true, nil
		})
		return s
	})
	return kept == hosts && backend.reused == 0 && backend.most == 1 && backend.calls == 10
}
