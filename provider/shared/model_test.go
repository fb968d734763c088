package shared_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// TestModel runs schedules in which everything that can go wrong does, in any order: hosts die at
// any point, operations of the store get lost, hang or come late, the store is away, takes no
// writes, from one host never, or forgets, clocks are wrong, the backend is slower than the lease.
//
// No two calls of the backend may bring the same refresh token, no login may be lost and none may
// be stuck, except through the gaps that the documentation of Login names; those are counted.
//
// STAYAUTH_MODEL=1000000 in the environment runs so many schedules, and others each time, instead
// of the same 10,000, and STAYAUTH_SEED=n the one that a failure has told of. The same seed draws
// the same faults; what runs at the same time may come in another order, and with STAYAUTH_MODEL as
// well it is run so many times.
func TestModel(t *testing.T) {
	schedules, first, step := drawSchedules(10_000, 500) // these take as long under the race detector
	t.Logf("%d schedules from the seed %d", schedules, first)

	var mu sync.Mutex // guards done and gaps
	done, gaps := 0, make(map[string]int)
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				if t.Failed() {
					continue
				}
				parent := t
				t.Run("", func(t *testing.T) {
					w := newWorld(seed)
					synctest.Test(t, func(*testing.T) { w.run() })
					if w.failure != "" {
						t.Errorf("%s\nSTAYAUTH_SEED=%d tells this story:\n%s", w.failure, seed, w)
					}
					mu.Lock()
					defer mu.Unlock()
					gaps[w.gap]++
					if done++; done%20_000 == 0 {
						parent.Logf("%d schedules so far, none red: %v", done, !parent.Failed())
					}
				})
			}
		})
	}
	for i := range schedules {
		seeds <- first + uint64(i)*step
	}
	close(seeds)
	wg.Wait()

	var lines []string
	for gap, n := range gaps {
		if gap != "" {
			lines = append(lines, fmt.Sprintf("%6d ended in a documented gap: %s", n, gap))
		}
	}
	sort.Strings(lines)
	t.Logf("%d schedules went to their end\n%s", gaps[""], strings.Join(lines, "\n"))
	if !t.Failed() && schedules > 1000 && gaps[""] < schedules/2 {
		t.Error("more than half of the schedules ended in a gap: the model proves little")
	}
}

// drawSchedules returns how many schedules of a model are run, and what their seeds are: first, and each
// time step more. Without a word in the environment it is the same ordinary ones each time, or fewer
// under the race detector.
func drawSchedules(ordinary, raced int) (n int, first, step uint64) {
	n, first, step = ordinary, 1, 1
	if raceEnabled {
		n = raced
	}
	if most, err := strconv.Atoi(os.Getenv("STAYAUTH_MODEL")); err == nil {
		n, first = most, rand.Uint64()>>1
	}
	if seed, err := strconv.ParseUint(os.Getenv("STAYAUTH_SEED"), 10, 64); err == nil {
		if os.Getenv("STAYAUTH_MODEL") == "" {
			n = 1
		}
		first, step = seed, 0
	}
	return n, first, step
}

// newWorld draws a plan. Each kind of trouble is left out of most schedules, so that no kind hides
// what another does.
func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	some := func(one int) bool { return rng.IntN(one) == 0 }
	w := &world{
		seed:  seed,
		calls: make(map[string]*process), spent: make(map[string]bool), ends: make(map[string]time.Time),
	}
	w.plan = plan{
		store: [...]string{"", "ages", "locks", "tells"}[rng.IntN(4)],
		hosts: 2 + rng.IntN(4), lives: 2 + rng.IntN(2), call: time.Millisecond, newEnds: some(3),
		deaths: some(3), outages: some(3), cuts: some(8), forgets: some(5), wrongTime: some(3),
	}
	if some(2) {
		w.plan.fails = [...]float64{0.05, 0.1, 0.2, 0.3}[rng.IntN(4)]
	}
	if some(2) {
		w.plan.delay = time.Duration(rng.Int64N(int64(400 * time.Millisecond)))
	}
	if some(2) {
		w.plan.call = time.Duration(1 + rng.Int64N(int64(20*time.Second)))
	}
	w.plan.leases = []time.Duration{modelLease}
	if some(4) {
		w.plan.leases = []time.Duration{modelLease / 3, modelLease, modelLease * 3}
		w.plan.delay /= 3 // a lease is long for the store
	}
	w.plan.reader = some(4)
	return w
}

// run runs the schedule to its end.
func (w *world) run() {
	w.over, w.changed = make(chan struct{}), make(chan struct{}) // made in the bubble
	rng := rand.New(rand.NewPCG(w.seed, 1))
	first := provider.NewToken("token-0", time.Now().Add(modelLife)).WithRefreshToken("secret-0")
	founder := &process{w: w, name: "founder", lease: modelLease, fuse: -1, rng: rng, died: make(chan struct{})}
	quiet := w.plan
	w.plan = plan{}
	if err := founder.login().Login(context.Background(), first); err != nil {
		panic(err)
	}
	w.plan = quiet
	w.ends["token-0"] = first.Expiry()

	var wg sync.WaitGroup
	for host := range w.plan.hosts {
		wg.Go(func() { w.keepRunning(host) })
	}
	if w.plan.outages || w.plan.forgets || w.plan.cuts {
		go w.disturb(rng) // ends when it is over
	}
	wg.Wait()
	w.mu.Lock()
	w.end()
	w.mu.Unlock()
	time.Sleep(time.Hour) // for what the dead had going
}

// keepRunning runs one process after the other on a host, until one has seen all lives of tokens.
func (w *world) keepRunning(host int) {
	for n := 1; ; n++ {
		p := &process{w: w, name: fmt.Sprintf("%c%d", 'A'+host, n), died: make(chan struct{}), fuse: -1}
		p.lease = w.plan.leases[host%len(w.plan.leases)]
		p.reads = w.plan.reader && host == w.plan.hosts-1
		p.rng = rand.New(rand.NewPCG(w.seed, uint64(2+100*host+n)))
		w.enter(p)
		if w.plan.deaths && n < 3 && p.rng.IntN(2) == 0 {
			p.fuse = p.rng.IntN(30)
		}
		ended := make(chan bool, 1)
		go func() { ended <- p.live() }() // ends when it is over, at the latest
		select {
		case all := <-ended:
			if all {
				w.leave(p)
				return
			}
		case <-p.died:
		}
		select {
		case <-w.over:
			return
		case <-time.After(time.Second):
		}
	}
}

// live uses the login as a transport does. It returns false if the session is over for this
// process.
func (p *process) live() (all bool) {
	l := p.login()
	var skew time.Duration // of the host's clock
	if p.w.plan.wrongTime && p.rng.IntN(2) == 0 {
		skew = time.Duration(p.rng.Int64N(int64(4*time.Minute))) - 2*time.Minute
	}
	var token provider.Token
	for {
		if time.Since(begin) > 6*time.Hour {
			p.w.mu.Lock()
			p.w.fail("it does not end")
			p.w.mu.Unlock()
			return true
		}
		missing := time.Now()
		for !p.works(token) {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			next, err := l.Token(ctx, token)
			cancel()
			switch {
			case p.isOver():
				return true
			case err == nil:
				token = next
			case provider.IsPermanent(err):
				return !p.mayEnd(err)
			default:
				time.Sleep(p.patience())
			}
			if p.stuck(missing) {
				return true
			}
		}
		if p.sawAll(token) {
			return true
		}
		// Until it is rejected, or seems to be about to.
		looksDead := !time.Now().Add(skew).Before(token.Expiry())
		for p.works(token) && !p.isOver() {
			time.Sleep(modelLife / 10)
			if !looksDead && !time.Now().Add(skew).Before(token.Expiry()) {
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				if next, err := l.Token(ctx, token); err == nil {
					token = next
				}
				cancel()
				break
			}
		}
		if p.isOver() {
			return true
		}
	}
}

// patience is what a transport waits for after an error, more or less.
func (p *process) patience() time.Duration {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return time.Duration(p.rng.Int64N(int64(time.Second)))
}

// works reports whether the API takes the token.
func (p *process) works(t provider.Token) bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return time.Now().Before(p.w.ends[t.Value()])
}

func (p *process) isOver() bool {
	select {
	case <-p.w.over:
		return true
	default:
		return false
	}
}

// sawAll reports whether the token is a late enough one.
func (p *process) sawAll(t provider.Token) bool {
	n, _ := strconv.Atoi(strings.TrimPrefix(t.Value(), "token-"))
	return n >= p.w.plan.lives
}

// mayEnd judges a session that is over. A process that was started while the store had lost the
// whole login has nothing to go by. That is no loss as long as one runs that knows the login: it
// writes it back. Where none is left the login is lost, through a gap that the documentation of
// Login names.
func (p *process) mayEnd(err error) bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.tell("the session of %s is over: %v", p.name, err)
	p.over = true
	forgotten := slices.ContainsFunc(p.w.forgets, func(f forgetting) bool { return f.restored == 0 })
	if !forgotten || !errors.Is(err, shared.ErrEnded) || !strings.Contains(err.Error(), "not logged in") {
		p.w.fail("the login is lost for %s: %v", p.name, err)
		return false
	}
	if !slices.ContainsFunc(p.w.all, func(q *process) bool { return q.knows && !q.dead && !q.over && !q.reads }) {
		p.w.slip("the store forgot the login, and no process was left that knew it")
	}
	return true
}

// stuck fails if a process has had no token for too long: a lease and the longest call for each of
// two holders that die, and as long as the store was away.
func (p *process) stuck(since time.Time) bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.reads && !slices.ContainsFunc(p.w.all, func(q *process) bool { return !q.reads && !q.over && !q.dead }) {
		return true // who could get one for it has seen all
	}
	if most := 5*time.Minute + p.w.outages; time.Since(since) > most {
		p.w.fail("%s has had no token for %v", p.name, most)
		return true
	}
	return false
}
