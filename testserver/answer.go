package testserver

import (
	"bufio"
	"net"
	"net/http"
)

// An answer is what a handler answers through a [Guard]. The first word of it is the moment of the
// request's effect: it is written down then, and what a fault puts between an effect and its answer
// passes.
type answer struct {
	http.ResponseWriter
	guard  *Guard
	visit  *visit
	counts bool // as an effect, if it is a success

	// Written by begin, and used by the handler's goroutine alone, as net/http demands of every
	// ResponseWriter:
	begun bool
	lost  bool // nothing goes out
}

func (a *answer) begin(status int) {
	if a.begun {
		return
	}
	a.begun = true
	a.visit.status = status
	if a.counts && status < 400 {
		a.guard.mu.Lock()
		a.guard.authority.Ledger.Effect(a.visit.attempt, a.visit.r.Method+" "+a.visit.r.URL.Path)
		a.guard.mu.Unlock()
	}
	a.lost = !a.visit.fault.hold(a.visit.r.Context(), a.guard.done, false)
	a.visit.fault.setHeader(a.Header())
}

// end is called when the handler has returned.
func (a *answer) end() {
	a.begin(http.StatusOK) // the handler has said nothing, which net/http takes for a 200
	if a.lost {
		cut()
	}
}

func (a *answer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols { // others come before the answer
		a.begin(status)
	}
	if !a.lost {
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write has the handler go on if its answer is lost, as it would if its words were on the way.
func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	if a.lost {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher], for handlers that ask for no more.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (a *answer) FlushError() error {
	a.begin(http.StatusOK)
	if a.lost {
		return nil
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker]. What the handler says on the connection is its own affair.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begin(http.StatusSwitchingProtocols)
	if a.lost {
		cut()
	}
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Unwrap gives [http.ResponseController] the rest.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
