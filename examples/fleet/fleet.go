package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/testserver"
)

// A fleet is the workers, and all that is known of them.
type fleet struct {
	// Set before it runs.
	stdout, stderr io.Writer
	duration       time.Duration
	size           int
	ttl            time.Duration // of the tokens
	pause          time.Duration // between two kills, on average
	gap            bool          // kill in the gap, too
	chaotic        bool          // make trouble for the store instead of killing

	server *testserver.Server // set by run
	lost   chan struct{}      // made by run, closed when the login is lost

	mu      sync.Mutex         // guards the fields below; never held across a call
	workers map[string]*worker // all that there ever were, by name
	seen    tally
	calls   []tokenCall // of the backend, in the order of their answers
	news    []string    // since the last line
}

// A tally counts what the workers report and what is done to them.
type tally struct {
	posts, failed  int
	kills          int
	troubles       int    // that the store had
	asking         int    // kills of a worker that had the lease, before its refresh token was spent
	inGap          int    // kills that cost an answer to a refresh token that was spent, or was spent later
	spared         int    // kills that were put off to the end of the gap
	ended          int    // workers that ended by themselves, though they were not told to
	lost           bool   // the login
	failure, cause string // the first failure of a post, and why the login was lost
}

// A worker is one process.
type worker struct {
	name string
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process is no more

	// Guarded by the fleet's mu.
	running  bool // there is a process to kill
	calls    int  // of the backend
	asking   bool // it calls the backend
	spending bool // the backend spends its refresh token, or has; the answer is not known to be saved
	doomed   bool // to be killed when that is over
	killed   bool
}

func (f *fleet) run(ctx context.Context, store *store) error {
	session := rand.Text()
	f.server = &testserver.Server{TTL: f.ttl, Session: session, Fault: backend{f}.fault}
	if f.gap {
		f.server.Rotation = testserver.SingleUseWithGrace
	}
	f.lost = make(chan struct{})
	f.workers = make(map[string]*worker)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", f.server)
	mux.Handle("/token", backend{f})
	api := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = api.Serve(l) }() // ends with Close
	defer api.Close()
	url := "http://" + l.Addr().String()
	tokens := provider.HTTP{URL: url + "/token", UserID: user, Session: provider.NewSecret(session)}
	if err := logIn(ctx, tokens, store.place()); err != nil {
		return err
	}

	fmt.Fprintf(f.stdout, "%d workers share one login through Redis at %s. Their tokens live for %v.\n", f.size, store.place().Addr, f.ttl)
	if f.chaotic {
		fmt.Fprintf(f.stdout, "Redis is flushed, paused or failed over every %v or so.\n\n", chaosPause)
	} else {
		fmt.Fprintf(f.stdout, "One of them is killed every %v or so, and started again.\n\n", f.pause)
	}

	working, stop := context.WithTimeout(ctx, f.duration)
	defer stop()
	var wg sync.WaitGroup
	for place := range f.size {
		wg.Go(func() {
			j := job{API: url, Store: store.place(), Reusable: f.gap}
			f.keepRunning(working, place+1, j)
		})
	}
	var trouble error // with making trouble
	wg.Go(func() {
		if f.chaotic {
			trouble = f.chaos(working, store)
		} else {
			f.kill(working)
		}
	})
	wg.Go(func() { // ends with working
		select {
		case <-f.lost:
			stop()
		case <-working.Done():
		}
	})
	f.show(working)
	wg.Wait()
	return errors.Join(trouble, f.summary(store.failovers()-store.killed))
}

// logIn logs the user in, once for the whole fleet. It holds no lease, so the store has the time of
// the usual one to answer: a machine on which a fleet starts is busy.
func logIn(ctx context.Context, backend provider.TokenProvider, store place) error {
	client := store.client()
	defer client.Close()
	token, err := backend.Token(ctx, provider.Token{})
	if err != nil {
		return err
	}
	login := sharedLogin(backend, &redisstore.Store{Client: client})
	login.Lease = 0
	return login.Login(ctx, token)
}

// keepRunning keeps a place in the fleet filled.
func (f *fleet) keepRunning(ctx context.Context, place int, j job) {
	for n := 1; ctx.Err() == nil; n++ {
		j.Worker = fmt.Sprintf("%d.%d", place, n)
		if err := f.runWorker(ctx, j); err != nil {
			f.ended(j.Worker, err)
			sleep(ctx, time.Second)
		}
	}
}

// runWorker runs one process to its end. An error means that it has ended in a way in which it must
// not.
func (f *fleet) runWorker(ctx context.Context, j job) error {
	description, err := json.Marshal(j)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	w := &worker{name: j.Worker, cmd: exec.Command(program), gone: make(chan struct{})}
	w.cmd.Env = append(os.Environ(), jobVariable+"="+string(description))
	w.cmd.Stderr = f.stderr
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	f.add(w) // before it can call the backend
	if err := w.cmd.Start(); err != nil {
		return err
	}
	f.enter(w)
	home := context.AfterFunc(ctx, func() { stdin.Close() })
	defer home()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		f.heard(w, lines.Text())
	}
	err = w.cmd.Wait()
	killed := f.leave(w)
	close(w.gone)
	if killed {
		return nil
	}
	if err == nil && ctx.Err() == nil {
		return errors.New("it left too early")
	}
	return err
}

// heard takes in what a worker reports.
func (f *fleet) heard(w *worker, line string) {
	what, why, _ := strings.Cut(line, " ")
	f.mu.Lock()
	doomed := false
	switch what {
	case posted:
		f.seen.posts++
	case failed:
		f.fail(fmt.Sprintf("worker %s: a post failed: %s", w.name, why))
	case over:
		if !f.seen.lost {
			f.seen.lost, f.seen.cause = true, why
			f.news = append(f.news, "THE LOGIN IS LOST: "+why)
			close(f.lost)
		}
	case rested:
		if n, _ := strconv.Atoi(why); n >= w.calls { // or it is an earlier one, heard late
			w.asking, w.spending = false, false
			doomed = w.doomed
		}
	}
	f.mu.Unlock()
	if doomed {
		f.strike(w)
	}
}

// fail counts a failure. f.mu is held.
func (f *fleet) fail(why string) {
	f.seen.failed++
	if f.seen.failure == "" {
		f.seen.failure = why
		f.news = append(f.news, why)
	}
}

func (f *fleet) ended(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen.lost {
		return // which is why
	}
	f.seen.ended++
	f.news = append(f.news, fmt.Sprintf("worker %s ended by itself: %v", name, err))
}

func (f *fleet) add(w *worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.workers[w.name] = w
}

// enter notes that w can be killed.
func (f *fleet) enter(w *worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.running = true
}

// leave notes that w is gone, and reports whether it was killed.
func (f *fleet) leave(w *worker) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.running = false
	return w.killed
}

// sleep waits for d and reports whether ctx lasted as long.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
