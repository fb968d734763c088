package transport

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A bodyKind says what it takes to send a request's body again.
type bodyKind int

const (
	bodyReplayable bodyKind = iota // there is none, or GetBody makes another
	bodyKept                       // it is kept while it is sent
	bodyOnce                       // it can be sent once
)

// bodyOf returns how req's body can be replayed, and whether it is, or may turn out to be, too long to keep: then it had
// better be sent under a token that is not about to end.
func (t *Transport) bodyOf(req *http.Request) (kind bodyKind, long bool) {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		return bodyReplayable, false
	}
	limit := int64(t.keepBody())
	switch {
	case limit == 0 || req.ContentLength > limit:
		return bodyOnce, true
	case req.ContentLength > 0:
		return bodyKept, false
	}
	return bodyKept, true // net/http takes 0 with a body for unknown, as -1
}

// A keptBody is a request body that has no GetBody. It is read through one attempt after the other, and what one attempt
// reads is kept for the next, up to a limit. It never reads on its own account: a body may be one half of a conversation.
type keptBody struct {
	src   io.ReadCloser
	limit int

	// turn is held while src is read. Two attempts may want to at the same time: Base may still be stuck in a read for the
	// rejected attempt while the replay has used up what was kept. It is a channel because that wait can be long.
	turn chan struct{}

	mu   sync.Mutex   // guards the fields below; never held across a read
	kept []byte       // all that was read of src; written by the holder of turn
	over bool         // more than limit was read, and kept dropped: there will be no replay
	err  error        // src's last word, once it has spoken it
	last *attemptBody // the newest attempt, or nil; written by attempt
	done bool         // finish was called: there will be no other attempt
}

func keep(src io.ReadCloser, limit int) *keptBody {
	return &keptBody{src: src, limit: limit, turn: make(chan struct{}, 1)}
}

// attempt returns the body for one more sending. The attempt before it must have been closed.
func (b *keptBody) attempt() *attemptBody {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = &attemptBody{body: b, closed: make(chan struct{})}
	return b.last
}

// replayable reports whether everything that was read is still there.
func (b *keptBody) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.over
}

// reject ends the newest attempt's reading, so that what is left is there for the next, and reports whether there can be
// one. What a read that is still under way brings is kept in any case.
func (b *keptBody) reject() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last.rejected = true
	return !b.over
}

// finish says that there will be no other attempt. The source is closed as soon as Base closes the newest.
func (b *keptBody) finish() {
	b.mu.Lock()
	b.done = true
	closeNow := b.last == nil || b.last.isClosed()
	b.mu.Unlock()
	if closeNow {
		_ = b.src.Close() // nobody is left to be told
	}
}

// An attemptBody is a keptBody as one attempt sends it.
type attemptBody struct {
	body   *keptBody
	closed chan struct{} // closed by Close, under body.mu

	pos      int  // how much has been handed out; guarded by body.mu
	rejected bool // guarded by body.mu
}

var errRejected = errors.New("transport: the request was rejected, its body is kept for the replay")

func (a *attemptBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if n, err := a.fromKept(p); n > 0 || err != nil {
		return n, err
	}
	b := a.body
	select {
	case b.turn <- struct{}{}:
	case <-a.closed:
		return 0, http.ErrBodyReadAfterClose
	}
	defer func() { <-b.turn }()
	if n, err := a.fromKept(p); n > 0 || err != nil { // the turn before may have brought something
		return n, err
	}

	n, err := b.src.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	a.pos += n
	b.err = err
	switch {
	case b.over, b.done && a == b.last: // nobody will read it again
	case len(b.kept)+n <= b.limit, a.rejected || a.isClosed():
		// What comes after the rejection counts for the replay, however much it is: nobody else has it.
		b.kept = append(b.kept, p[:n]...)
	default:
		b.over, b.kept = true, nil
	}
	return n, err
}

// fromKept hands out what an earlier attempt has read, or the end that is known already.
func (a *attemptBody) fromKept(p []byte) (int, error) {
	b := a.body
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case a.isClosed():
		return 0, http.ErrBodyReadAfterClose
	case a.rejected:
		return 0, errRejected
	case a.pos < len(b.kept):
		n := copy(p, b.kept[a.pos:])
		a.pos += n
		return n, nil
	}
	return 0, b.err
}

func (a *attemptBody) isClosed() bool {
	select {
	case <-a.closed:
		return true
	default:
		return false
	}
}

// Close is called by Base when it is done with the attempt. The source stays open for as long as there may be another.
func (a *attemptBody) Close() error {
	b := a.body
	b.mu.Lock()
	first := !a.isClosed()
	if first {
		close(a.closed)
	}
	closeNow := first && b.done && b.last == a
	b.mu.Unlock()
	if closeNow {
		return b.src.Close()
	}
	return nil
}

// closeGrace is how long a replay waits for Base to close the rejected attempt's body. Base does so at once, unless it is
// stuck in a read of a body whose writer waits for this very response.
const closeGrace = time.Second

// released waits until Base has closed the newest attempt, and reports whether it has. A Base that reads on would take bytes
// away from the replay.
func (b *keptBody) released(stop <-chan struct{}) bool {
	b.mu.Lock()
	closed := b.last.closed
	b.mu.Unlock()
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-closed:
		return true
	case <-timer.C:
	case <-stop:
	}
	return false
}
