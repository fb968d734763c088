//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// whileHidden gives the echo back before a key of the terminal ends or suspends the process: Ctrl-\
// and Ctrl-Z. hide is called when the process goes on. Ctrl-C is the guard's.
func whileHidden(show, hide func()) (stop func()) {
	keys, resumed := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(keys, syscall.SIGQUIT, syscall.SIGTSTP)
	signal.Notify(resumed, syscall.SIGCONT)
	done, ended := make(chan struct{}), make(chan struct{})
	suspend := func() {
		if os.Getppid() == 0 {
			return // it is a container's only process: there is no shell to go on from
		}
		// SIGSTOP, as Go does not give SIGTSTP its default effect back.
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select { // it takes effect in a moment
		case <-resumed:
		case <-done:
		}
	}
	go func() { // ends with stop
		defer close(ended)
		for {
			select {
			case key := <-keys:
				show()
				if key == syscall.SIGQUIT {
					signal.Reset(key)
					_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT)
					return
				}
				suspend()
				hide()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(keys)
		signal.Stop(resumed)
		close(done)
		<-ended // or it might hide what is shown after this
	}
}
