package shared_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A dice is where a test's faults and delays come from. A failure prints its seed, and
// STAYAUTH_SEED=n in the environment throws the same. It may be used by several goroutines at once.
type dice struct {
	mu  sync.Mutex // guards rng
	rng *rand.Rand
}

func newDice(t *testing.T) *dice {
	seed := rand.Uint64() >> 1
	if s, err := strconv.ParseUint(os.Getenv("STAYAUTH_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to do the same again: STAYAUTH_SEED=%d", seed)
		}
	})
	return diceOf(seed)
}

func diceOf(seed uint64) *dice { return &dice{rng: rand.New(rand.NewPCG(seed, 0))} }

// share returns a number from 0 to 1.
func (d *dice) share() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Float64()
}

// below returns a time that is shorter than most.
func (d *dice) below(most time.Duration) time.Duration {
	return time.Duration(d.share() * float64(most))
}
