package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// backendTime is what the backend takes before it spends a refresh token, and once more before its
// answer leaves.
const backendTime = 15 * time.Millisecond

// kill kills one worker after the other until ctx is done. One in four kills waits for a worker
// that has the lease and asks for a token, and falls somewhere in its call; the others may fall
// anywhere.
func (f *fleet) kill(ctx context.Context) {
	for sleep(ctx, f.pause/2+rand.N(f.pause)) {
		aimed := rand.N(4) == 0
		w := f.victim(aimed)
		for w == nil && sleep(ctx, time.Millisecond) {
			w = f.victim(aimed)
		}
		if w == nil {
			return
		}
		if aimed {
			sleep(ctx, rand.N(2*backendTime))
		}
		f.strike(w)
	}
}

// victim picks a worker that is not to be killed already, or one that asks for a token; nil if
// there is none.
func (f *fleet) victim(asking bool) *worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers { // in a random order
		if w.running && !w.killed && !w.doomed && (w.asking || !asking) {
			return w
		}
	}
	return nil
}

// strike kills w, or dooms it if this is not the moment.
func (f *fleet) strike(w *worker) {
	f.mu.Lock()
	now := f.sentence(w)
	f.mu.Unlock()
	if now {
		_ = w.cmd.Process.Kill() // unless it has just ended
	}
}

// sentence reports whether w is to be killed now. f.mu is held.
func (f *fleet) sentence(w *worker) bool {
	what := "killed worker " + w.name
	switch {
	case w.killed || !w.running:
		return false
	case w.spending && !f.gap:
		f.seen.spared++
		w.doomed = true
		return false
	case w.spending:
		f.seen.inGap++
		what += " in the gap"
	case w.asking:
		f.seen.asking++
		what += " while it asked for a token"
	}
	f.seen.kills++
	w.killed = true
	f.news = append(f.news, what)
	return true
}

// A backend is the test server's POST /token, as slow as one with a database, and with an eye on
// who asks.
type backend struct{ f *fleet }

// fault makes the test server slow with the answer.
func (backend) fault(r *http.Request) (f testserver.Fault) {
	if r.URL.Path == "/token" {
		f.Hold = backendTime
	}
	return f
}

// ServeHTTP implements [http.Handler].
func (b backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(workerHeader)
	if name == "" { // the login at the beginning
		b.f.server.ServeHTTP(w, r)
		return
	}
	asker := b.f.asks(name)
	time.Sleep(backendTime)
	if !b.f.spends(asker) {
		// The kill came first, so the call never was: as if it had been lost on its way. The
		// process must not see it break.
		<-asker.gone
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // it left
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	call := callOf(r, body)
	answer := &judged{ResponseWriter: w}
	b.f.server.ServeHTTP(answer, r)
	call.rejected = answer.status >= 400
	b.f.record(call)
}

// judged is an answer whose status is kept.
type judged struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (j *judged) WriteHeader(status int) {
	j.status = status
	j.ResponseWriter.WriteHeader(status)
}

// record notes an answer of the backend.
func (f *fleet) record(call tokenCall) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	if call.rejected {
		for _, r := range reuses(f.calls) {
			if r.again == call {
				f.news = append(f.news, r.String())
			}
		}
	}
}

// asks notes that a worker has called the backend.
func (f *fleet) asks(name string) *worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.workers[name]
	w.asking = true
	w.calls++
	return w
}

// spends notes that the backend is about to spend the worker's refresh token. It returns false if
// the worker was killed before that.
func (f *fleet) spends(w *worker) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case w.killed && !f.gap:
		return false
	case w.killed:
		f.seen.asking--
		f.seen.inGap++
	}
	w.spending = true
	return true
}
