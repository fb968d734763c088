package main

import (
	"context"
	"os"
	"sync/atomic"
)

// A guard is between the signals that ask the tool to end and a login that is being refreshed: a
// token that the backend has issued and that is not saved yet may be the only way to the next one.
type guard struct {
	refreshing atomic.Bool            // from when the backend is asked until its answer is saved
	restore    atomic.Pointer[func()] // gives the terminal back as it was; nil if there is nothing to restore
}

// obey ends ctx at the first signal, and the process at the second. While a refresh is under way it
// takes one more, and says why.
//
// It ends with the process.
func (t *tool) obey(signals <-chan os.Signal, endContext context.CancelFunc) {
	for warned, n := 0, 1; ; n++ {
		<-signals
		endContext()
		switch {
		case t.guard.refreshing.Load() && warned == 0:
			warned++
			t.say("saving the login, which takes a moment")
		case t.guard.refreshing.Load() && warned == 1:
			warned++
			t.say("still saving the login; once more ends this at once, and you may have to log in again")
		case n > 1:
			if restore := t.guard.restore.Load(); restore != nil {
				(*restore)()
			}
			os.Exit(exitFailed)
		}
	}
}
