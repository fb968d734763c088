package frame

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// A Guard is between the signals that ask a program to end and a login that is being saved: a token
// that the server has issued and that is not saved yet may be the only way to the next one. It is
// for programs that keep a login; the others have [Main]. It must not be copied.
type Guard struct {
	Saving  atomic.Bool            // from when the server is asked until its answer is saved
	Restore atomic.Pointer[func()] // gives the terminal back as it was; nil if there is nothing to restore
}

// Main runs a program and exits with its status, as the function [Main] does. But while a login is
// being saved it takes one signal more than usual, and tells with say why. say is called beside run.
func (g *Guard) Main(say func(text string), run func(ctx context.Context) (status int)) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, Signals()...)
	signal.Ignore(syscall.SIGPIPE) // a reader that is gone must not end a refresh either: writing fails
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the process
		g.obey(signals, cancel, say)
		if restore := g.Restore.Load(); restore != nil {
			(*restore)()
		}
		os.Exit(Failed)
	}()
	os.Exit(run(ctx))
}

// obey ends the context at the first signal, and returns at the second, when the process has to end
// at once. While a login is being saved it takes one more, and says why.
func (g *Guard) obey(signals <-chan os.Signal, endContext context.CancelFunc, say func(text string)) {
	for warned, n := 0, 1; ; n++ {
		<-signals
		endContext()
		switch {
		case g.Saving.Load() && warned == 0:
			warned++
			say("saving the login, which takes a moment")
		case g.Saving.Load() && warned == 1:
			warned++
			say("still saving the login; once more ends this at once, and you may have to log in again")
		case n > 1:
			return
		}
	}
}
