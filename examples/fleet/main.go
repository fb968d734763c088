// Command fleet shows several processes that share one login through Redis and survive each other's
// death.
//
//	cd examples/fleet && go run .
//
// It starts a Redis, a test server and some workers, all on this machine. The workers are bots of
// one user: they post to a feed, under tokens that live for a moment, and each token is bought with
// a refresh token that is good for a single use. All the time one of the workers is killed (kill
// -9) and started again. In the end the server's ledger tells whether anything was lost.
//
// Where a worker dies while it asks for a token, the others take over as soon as its lease has run
// out: until then, 2 s here, none posts. That is all that a death costs.
//
// # The gap
//
// A worker may be killed at any moment but one: from when the backend spends the refresh token
// until its answer is in Redis. A login that loses its process there is lost, whatever a client
// does. A worker that is to be killed in the gap is killed right after it.
//
// What closes the gap is a backend that answers once more for the refresh token that was spent
// last. With -gap the backend is such a one, and none is spared.
//
// # Chaos
//
// With -chaos it is the store that suffers: Redis, here a master and a replica under a Sentinel, is
// flushed, takes no writes for two leases, and its master is killed, in turn. No worker is killed
// then: one that was started just after a flush would know nothing, and that is a gap, too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The exit statuses, apart from 0.
const (
	exitFailed = 1 // something was lost
	exitUsage  = 2 // it could not begin: the command line, or no Redis
)

func main() {
	if job := os.Getenv(jobVariable); job != "" {
		os.Exit(work(job, os.Stdin, os.Stdout))
	}
	if dir := os.Getenv(keeperVariable); dir != "" {
		os.Exit(keep(dir, os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), endSignals...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C is not waited for
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// endSignals tell a program to end. Terminals, shells and timeout send them to the fleet's whole
// process group, whose other members end with the fleet instead.
var endSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// run does what args say and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := &fleet{stdout: stdout, stderr: &lockedWriter{w: stderr}}
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&f.duration, "for", time.Minute, "how long it runs")
	flags.IntVar(&f.size, "workers", 5, "how many workers there are")
	flags.DurationVar(&f.ttl, "ttl", 200*time.Millisecond, "how long tokens live; up to a second more, as they end with a whole one")
	flags.DurationVar(&f.pause, "kill", time.Second, "the pause between two kills, on average")
	flags.BoolVar(&f.gap, "gap", false, "kill in the gap too; the backend answers once more for a spent refresh token then")
	flags.BoolVar(&f.chaotic, "chaos", false, "make trouble for Redis instead of killing workers")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "fleet: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	case f.chaotic && f.gap:
		fmt.Fprintln(stderr, "fleet: -chaos kills no workers: leave -gap out")
		return exitUsage
	case f.duration <= 0 || f.size < 1 || f.ttl <= 0 || f.pause <= 0:
		fmt.Fprintln(stderr, "fleet: -for, -workers, -ttl and -kill must be more than 0")
		return exitUsage
	}
	store, err := startStore(ctx, f.chaotic)
	if err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return exitUsage
	}
	defer store.stop()
	if err := f.run(ctx, store); err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return exitFailed
	}
	return 0
}
