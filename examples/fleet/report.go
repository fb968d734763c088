package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// show prints a line a second until ctx is done.
func (f *fleet) show(ctx context.Context) {
	fmt.Fprintln(f.stdout, "  time    posts  failed rejected  tokens  kills   what happened")
	began := time.Now()
	for second := 1; sleep(ctx, time.Until(began.Add(time.Duration(second)*time.Second))); second++ {
		ledger := f.server.Ledger()
		f.mu.Lock()
		seen, news := f.seen, strings.Join(f.news, "; ")
		f.news = nil
		f.mu.Unlock()
		fmt.Fprintf(f.stdout, "%4d s %8d %7d %8d %7d %6d   %s\n", second, seen.posts, seen.failed, ledger.Rejected, ledger.Issued, seen.kills, news)
	}
}

// A result is what a run comes to.
type result struct {
	tally
	workers int
	gap     bool

	expiries int   // tokens that were used and came to an end
	calls    int   // of the backend
	rejected int   // calls that brought no new token: a refresh token that was spent, most likely
	excused  int   // of those, through the gap in the store that the program can prove
	arrived  int   // posts that took effect
	check    error // what the server's ledger complains of
}

// summary tells what has happened, last in a line for machines, and returns what should not have.
// The Sentinel has replaced so many masters that were alive.
func (f *fleet) summary(alive int) error {
	f.mu.Lock()
	seen, reused := f.seen, reuses(f.calls)
	f.mu.Unlock()
	r := resultOf(seen, f.server.Ledger(), f.server.Check())
	r.workers, r.gap = f.size, f.gap
	for _, u := range reused {
		if u.unseen() {
			r.excused++
		}
	}
	fmt.Fprintf(f.stdout, "\n%d posts, of which %d failed; %d took effect, each exactly once.\n", r.posts+r.failed, r.failed, r.arrived)
	fmt.Fprintf(f.stdout, "%d tokens came to an end, and all workers together asked %d times for one, the first included.\n", r.expiries, r.calls)
	if f.chaotic {
		fmt.Fprintf(f.stdout, "Redis had trouble %d times.\n", r.troubles)
		if alive > 0 {
			fmt.Fprintf(f.stdout, "The Sentinel replaced a master that was alive, %d times: there were two masters for a while.\n", alive)
		}
		for _, u := range reused {
			fmt.Fprintf(f.stdout, "A refresh token came twice: %s.\n", u)
		}
		fmt.Fprintf(f.stdout, "\n%s\n", r.line())
		return r.err()
	}
	fmt.Fprintf(f.stdout, "%d workers were killed: %d of them while they asked for a token, ", r.kills, r.asking+r.inGap+r.spared)
	if r.gap {
		fmt.Fprintf(f.stdout, "%d in the gap, where %d answers were lost and asked for again.\n", r.inGap, r.rejected)
	} else {
		fmt.Fprintf(f.stdout, "%d right after the gap.\n", r.spared)
	}
	fmt.Fprintf(f.stdout, "\n%s\n", r.line())
	return r.err()
}

func resultOf(seen tally, ledger testserver.Ledger, check error) result {
	r := result{tally: seen, calls: ledger.TokenCalls, rejected: ledger.TokenCalls - ledger.Issued, check: check}
	used := 0
	for _, t := range ledger.Tokens {
		if t.Uses > 0 {
			used++
		}
	}
	r.expiries = max(0, used-1) // one is alive
	for _, q := range ledger.Requests {
		if q.Effects > 0 {
			r.arrived++
		}
	}
	if ledger.Forgotten > 0 {
		r.check = errors.Join(check, errors.New("the run was too long for the server's ledger"))
	}
	return r
}

// line is the result for machines.
func (r result) line() string {
	lost := 0
	if r.lost {
		lost = 1
	}
	return fmt.Sprintf("workers=%d kills=%d expiries=%d token_calls=%d reused=%d excused=%d lost_logins=%d posts=%d failed=%d",
		r.workers, r.kills, r.expiries, r.calls, r.rejected, r.excused, lost, r.posts, r.failed)
}

// err returns what should not have happened.
func (r result) err() error {
	err := r.check
	if r.lost {
		err = errors.Join(err, fmt.Errorf("the login was lost: %s", r.cause))
	}
	// An answer that was lost in the gap may be asked for again, and so may one whose claim the
	// store has lost before anyone saw it. Nothing else may.
	if reasons := r.inGap + r.excused; r.rejected > reasons {
		err = errors.Join(err, fmt.Errorf("calls of the backend with a spent refresh token: %d, and %d had a reason to", r.rejected, reasons))
	}
	if r.failed > 0 {
		err = errors.Join(err, fmt.Errorf("posts that failed: %d, the first: %s", r.failed, r.failure))
	}
	if r.ended > 0 {
		err = errors.Join(err, fmt.Errorf("workers that ended by themselves: %d", r.ended))
	}
	// A worker may be killed, or sent home, between a post's effect and its report.
	if r.arrived < r.posts || r.arrived > r.posts+r.failed+r.kills+r.workers {
		err = errors.Join(err, fmt.Errorf("%d posts were acknowledged, and %d took effect", r.posts, r.arrived))
	}
	return err
}

// A lockedWriter takes what several workers say.
type lockedWriter struct {
	mu sync.Mutex // held for one write
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
