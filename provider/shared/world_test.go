package shared_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// A world is one schedule of the model: hosts whose processes die and are started again, a store
// that does what stores do, and a backend with single-use refresh tokens. It runs in a bubble; what
// happens is drawn from its seed.
type world struct {
	seed uint64
	plan plan
	over chan struct{} // closed at the end: it releases the dead

	mu      sync.Mutex // guards the fields below; never held across a wait
	story   []event
	all     []*process   // that there ever were
	writes  []write      // that the store has, the newest last
	version uint64       // the last one given out
	forgets []forgetting // what the store has lost
	outages time.Duration
	locked  *process              // who has the store's lock
	changed chan struct{}         // closed at the next write
	down    func(op string) error // what is wrong with the store; nil: nothing
	mints   []mint                // each token that the backend has given out
	calls   map[string]*process   // who has brought which refresh token last
	spent   map[string]bool       // the refresh tokens that have bought a token
	ends    map[string]time.Time  // when each token ends
	gap     string                // the gap through which the login was lost
	failure string                // what must not happen, and did
}

// A plan is what is drawn for a whole schedule.
type plan struct {
	store     string // what it can do beside keeping records; "": nothing
	hosts     int
	lives     int           // of tokens, until all is well
	fails     float64       // how many of the store's operations fail or hang
	delay     time.Duration // of an operation, at most
	call      time.Duration // of the backend, at most
	newEnds   bool          // a new token ends the one before
	deaths    bool
	outages   bool // of the store, for all
	cuts      bool // of one host's way to the store, up to longer than a lease
	forgets   bool // the store loses writes
	wrongTime bool
	leases    []time.Duration // of one host after the other
	reader    bool            // the last host can't write the store
}

type event struct {
	at   time.Duration
	what string
	args []any
}

type write struct {
	record  []byte
	version uint64
	by      *process
	at      time.Time
}

type forgetting struct {
	restored uint64
	lost     []write
	seen     map[*process]uint64 // the greatest version that each process had seen
}

type mint struct {
	token, refresh string
	spent          string // the refresh token that it was bought with
	by             *process
}

const (
	modelLife  = 90 * time.Second // of a token
	modelLease = 15 * time.Second // of most hosts
)

var begin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of every bubble

// tell adds to the story. w.mu is held.
func (w *world) tell(what string, args ...any) {
	w.story = append(w.story, event{time.Since(begin), what, args})
}

// String is the story.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan %+v\n", w.plan)
	for _, e := range w.story {
		fmt.Fprintf(&b, "%12v  %s\n", e.at, fmt.Sprintf(e.what, e.args...))
	}
	return b.String()
}

// end ends the schedule. w.mu is held.
func (w *world) end() {
	select {
	case <-w.over:
	default:
		close(w.over)
	}
}

// fail ends the schedule badly. w.mu is held.
func (w *world) fail(what string, args ...any) {
	w.tell("FAILED: "+what, args...)
	if w.failure == "" && w.gap == "" {
		w.failure = fmt.Sprintf(what, args...)
	}
	w.end()
}

// A process is one life of a host: it knows nothing of the lives before. It is its own way to the
// store and to the backend.
type process struct {
	w     *world
	name  string
	lease time.Duration
	died  chan struct{} // closed when it dies
	reads bool          // the store, and can't write it

	// Guarded by w.mu.
	rng    *rand.Rand
	fuse   int // the number of things that it still does; negative: it lives on
	dead   bool
	seen   uint64    // the greatest version
	knows  bool      // it has seen a token
	over   bool      // its session is over, or it has seen all that it is to see: it looks no more
	cuts   []span    // when it could not reach the store
	called time.Time // when its last call of the backend began

	written time.Time     // when it last knew that it had written
	vain    time.Time     // since when it writes in vain, while others can write, if it does
	vainFor time.Duration // for how long it did, at most, since its last call of the backend
}

type span struct{ begin, end time.Time }

// step is one thing that the process does. The dead do nothing, for ever. w.mu is held, and not
// while it waits.
func (p *process) step() error {
	if p.fuse == 0 && !p.dead {
		p.dead = true
		p.w.tell("%s dies", p.name)
		if p.w.locked == p {
			p.w.locked = nil
		}
		p.w.mourn(p)
		close(p.died)
	}
	p.fuse--
	if !p.dead {
		return nil
	}
	p.w.mu.Unlock()
	<-p.w.over
	p.w.mu.Lock()
	return errors.New("model: this process is dead")
}

// mourn notes whether p takes the answer with it that keeps the login alive. w.mu is held.
func (w *world) mourn(p *process) {
	if len(w.mints) == 0 {
		return
	}
	last := w.mints[len(w.mints)-1]
	if last.by == p && !bytes.Contains(w.newest().record, []byte(last.refresh+`"`)) {
		w.slip("the answer died with its host")
	}
}

// slip notes the gap through which the login is lost. w.mu is held.
func (w *world) slip(gap string) {
	if w.gap == "" && w.failure == "" {
		w.tell("GAP: %s", gap)
		w.gap = gap
	}
	w.end()
}

// newest is what the store has. w.mu is held.
func (w *world) newest() write {
	if len(w.writes) == 0 {
		return write{}
	}
	return w.writes[len(w.writes)-1]
}

// wait waits, unless the schedule ends. It is called with w.mu held, and does not hold it
// meanwhile.
func (p *process) wait(ctx context.Context, d time.Duration) error {
	p.w.mu.Unlock()
	defer p.w.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.w.over:
		return errors.New("model: it is over")
	}
}

// enter notes that there is p.
func (w *world) enter(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, p)
}

// leave notes that p has ended.
func (w *world) leave(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.over = true
}
