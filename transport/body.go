package transport

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
)

// bodyOf returns what it takes to send req's body again, and whether the body is, or may turn out
// to be, too long for that: then a token that is about to end won't do. The result is nil if it
// takes nothing, or nothing but GetBody.
func (t *Transport) bodyOf(req *http.Request) (b *body, once bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, false
	}
	if req.GetBody != nil {
		if t.isFresh(req.GetBody) {
			return nil, false
		}
		return newBody(&body{src: req.Body, get: req.GetBody}), false
	}
	if s, ok := req.Body.(io.Seeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil { // not so for a pipe in an *os.File
			return newBody(&body{src: req.Body, seek: func() error { _, err := s.Seek(start, io.SeekStart); return err }}), false
		}
	}
	limit := int64(t.keepBody())
	// net/http takes 0 with a body for unknown, as -1.
	once = limit == 0 || req.ContentLength > limit || req.ContentLength <= 0
	if req.ContentLength > limit {
		limit = 0
	}
	return newBody(&body{src: req.Body, limit: int(limit)}), once
}

// isFresh reports whether getBody is one of those that http.NewRequest makes. They return a reader
// of their own each time, so there is nothing to wait for before the next attempt. Of others that
// can't be known: many rewind one reader, which the last attempt may be reading still.
func (t *Transport) isFresh(getBody func() (io.ReadCloser, error)) bool {
	code := reflect.ValueOf(getBody).Pointer()
	return code == t.getBodies[0] || code == t.getBodies[1] || code == t.getBodies[2]
}

// freshGetBodies returns the code of the functions that http.NewRequest sets as GetBody.
func freshGetBodies() (code [3]uintptr) {
	for i, r := range []io.Reader{bytes.NewBufferString("x"), bytes.NewReader([]byte("x")), strings.NewReader("x")} {
		if req, err := http.NewRequest(http.MethodPost, "/", r); err == nil && req.GetBody != nil {
			code[i] = reflect.ValueOf(req.GetBody).Pointer()
		}
	}
	return code
}

// A body is a request's body through all its attempts, of which no two read it at the same time.
// For the next attempt it is got anew, rewound, or taken from what was kept of it while it was
// read. It never reads on its own account: a body may be one half of a conversation.
type body struct {
	src   io.ReadCloser
	get   func() (io.ReadCloser, error) // GetBody, or nil
	seek  func() error                  // rewinds src; or nil
	limit int                           // how much to keep, if there is neither

	// turn is held while the body is read. Two attempts may want to at the same time: Base may
	// still be stuck in a read for the rejected attempt while the replay has used up what was kept.
	// It is a channel because that wait can be long.
	turn chan struct{}

	mu   sync.Mutex // guards the fields below and those of the attempts; never held across a read
	kept []byte     // all that was read of src; written by the holder of turn
	over bool       // more than limit was read, and kept dropped: there will be no replay
	err  error      // src's last word, once it has spoken it
	last *attempt   // the newest attempt; written by begin
	done bool       // finish was called: there will be no other attempt
}

func newBody(b *body) *body {
	b.turn = make(chan struct{}, 1)
	return b
}

// first makes out's body that of the first attempt.
func (b *body) first(out *http.Request) {
	out.Body = b.begin(b.src)
	if b.get != nil {
		out.GetBody = b.another // Base may want one, too
	}
}

// another is GetBody as Base may call it, for an attempt of its own.
func (b *body) another() (io.ReadCloser, error) {
	src, err := b.get()
	if err != nil {
		return nil, err
	}
	return b.begin(src), nil
}

// begin returns an attempt to send src.
func (b *body) begin(src io.ReadCloser) *attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = &attempt{body: b, src: src, closed: make(chan struct{})}
	return b.last
}

// next returns the body of one more attempt. Base has let go of the one before: see released.
func (b *body) next() (io.ReadCloser, error) {
	switch {
	case b.get != nil:
		return b.another()
	case b.seek != nil:
		if err := b.seek(); err != nil {
			return nil, err
		}
	}
	return b.begin(b.src), nil
}

// keeps reports whether what is read is kept for the next attempt.
func (b *body) keeps() bool { return b.get == nil && b.seek == nil }

// replayable reports whether there can be another attempt.
func (b *body) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.over
}

// reject ends the newest attempt's reading, so that what is left is there for the next, and reports
// whether there can be one. What a read that is under way brings is kept in any case.
func (b *body) reject() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last.rejected = true
	return !b.over
}

// finish says that there will be no other attempt. The source is closed as soon as Base closes the
// newest.
func (b *body) finish() {
	b.mu.Lock()
	b.done = true
	closeNow := b.last == nil || b.last.isClosed()
	b.mu.Unlock()
	if closeNow && b.get == nil {
		_ = b.src.Close() // no one is left to be told
	}
}

// closeGrace is how long a replay waits for Base to let go of the rejected attempt's body. Base
// does so at once, unless it is stuck in a read of a body whose writer waits for this very
// response.
const closeGrace = time.Second

// released waits until Base has let go of the newest attempt, and reports whether it has. A Base
// that reads on would take bytes away from the replay, or have them changed under its hands.
func (b *body) released(stop <-chan struct{}) bool {
	b.mu.Lock()
	closed := b.last.closed
	b.mu.Unlock()
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		return false
	case <-stop:
		return false
	}
	if b.keeps() {
		return true // the next attempt waits for its turn, and gets what the read brings that is under way
	}
	select {
	case b.turn <- struct{}{}:
		<-b.turn
		return true
	case <-timer.C:
	case <-stop:
	}
	return false
}

// An attempt is a body as it is sent once.
type attempt struct {
	body   *body
	src    io.ReadCloser // the body's own, or one that GetBody has returned
	closed chan struct{} // closed by Close, under body.mu

	pos      int  // how much of what was kept has been handed out; guarded by body.mu
	rejected bool // guarded by body.mu
}

var errRejected = errors.New("transport: the request was rejected, its body is kept for the replay")

func (a *attempt) Read(p []byte) (int, error) {
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

	n, err := a.src.Read(p)
	if !b.keeps() {
		return n, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.pos += n
	b.err = err
	switch {
	case b.over, b.done && a == b.last: // it will not be read again
	case len(b.kept)+n <= b.limit, a.rejected || a.isClosed():
		// What comes after the rejection counts for the replay, however much it is: it is nowhere
		// else.
		b.kept = append(b.kept, p[:n]...)
	default:
		b.over, b.kept = true, nil
	}
	return n, err
}

// fromKept returns what an earlier attempt has read, or the end that is known already.
func (a *attempt) fromKept(p []byte) (int, error) {
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

func (a *attempt) isClosed() bool {
	select {
	case <-a.closed:
		return true
	default:
		return false
	}
}

// Close is called by Base when it is done with the attempt. A source that is kept or rewound stays
// open for as long as there may be another.
func (a *attempt) Close() error {
	b := a.body
	b.mu.Lock()
	first := !a.isClosed()
	if first {
		close(a.closed)
	}
	closeNow := first && (b.get != nil || b.done && b.last == a)
	b.mu.Unlock()
	if closeNow {
		return a.src.Close()
	}
	return nil
}
