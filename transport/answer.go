package transport

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxAnswer is how much of a rejected response is read, and how much of it a classifier gets to see.
	maxAnswer = 64 << 10

	// answerGrace is how long that may take. Over HTTP/2 a server may keep its answer open until it has the rest of a request
	// that nobody sends any more, and the header of a compressed answer may never come.
	answerGrace = time.Second

	// maxHeld is how many bytes of rejected responses a Transport keeps while their requests wait. Of those for which there is
	// no room the status is kept.
	maxHeld = 2 << 20
)

// An answer is the body of a response that can be looked at before it is handed on. What was read of it while it was peeked at is
// read again afterwards.
type answer struct {
	src     io.ReadCloser
	kept    []byte
	pos     int   // how much of kept has been handed out
	err     error // where src ended, once it has
	peeking bool  // a Close is not meant, and the end comes after maxAnswer bytes or answerGrace

	limit   *time.Timer // of peeking; set by the first read
	late    bool        // it has run out
	pending chan piece  // a read of src that has not returned; nil: there is none
}

// A piece is what one read of a response brought.
type piece struct {
	data []byte
	err  error
}

func (b *answer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		there := b.kept
		if b.peeking {
			there = b.shown()
		}
		switch {
		case b.pos < len(there):
			n := copy(p, there[b.pos:])
			b.pos += n
			return n, nil
		case b.peeking && len(b.kept) > maxAnswer:
			return 0, io.EOF
		case b.err != nil:
			return 0, b.err
		case b.peeking && !b.more():
			return 0, io.EOF
		case b.peeking: // there is more
		case b.pending != nil:
			b.keep(<-b.pending)
		default:
			return b.src.Read(p)
		}
	}
}

// more reads some more of src, in a goroutine of its own because nothing ends a read for certain, and reports whether that has
// come in time. The goroutine ends when the read does: the next Read waits for it.
func (b *answer) more() bool {
	if b.limit == nil {
		b.limit = time.NewTimer(answerGrace)
	}
	if b.late {
		return false
	}
	if b.pending == nil {
		pending, src, room := make(chan piece, 1), b.src, min(maxAnswer+1-len(b.kept), 8<<10)
		b.pending = pending
		go func() {
			data := make([]byte, room)
			n, err := src.Read(data)
			pending <- piece{data[:n], err}
		}()
	}
	select {
	case p := <-b.pending:
		b.keep(p)
		return true
	case <-b.limit.C:
		b.late = true
		return false
	}
}

func (b *answer) keep(p piece) {
	b.kept, b.err, b.pending = append(b.kept, p.data...), p.err, nil
}

// shown returns what a classifier has read, or may have.
func (b *answer) shown() []byte { return b.kept[:min(len(b.kept), maxAnswer)] }

func (b *answer) Close() error {
	if b.peeking {
		return nil
	}
	return b.src.Close()
}

// isRejected asks the classifier about resp. Afterwards resp is as it was, whatever the classifier did to its body.
func (t *Transport) isRejected(resp *http.Response) bool {
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	b := &answer{src: resp.Body, peeking: true}
	resp.Body = b
	judged := false
	defer func() {
		b.pos, b.peeking = 0, false
		resp.Body = b
		if !judged { // the classifier panicked, and nobody gets the response
			_ = b.Close()
		}
	}()
	rejected := Bearer
	if t.IsRejected != nil {
		rejected = t.IsRejected
	}
	is := rejected(resp)
	judged = true
	return is
}

// putAside reads what it may of resp's body and closes it, so that its connection is free before anybody waits. resp can be
// returned later all the same, see [Transport.hold].
func putAside(resp *http.Response) {
	b := resp.Body.(*answer)
	b.peeking = true
	for b.err == nil && len(b.kept) <= maxAnswer && b.more() {
	}
	if b.limit == nil {
		b.limit = time.NewTimer(answerGrace)
	}
	src, closed := b.src, make(chan struct{})
	go func() { // it may wait for a read that is under way
		defer close(closed)
		_ = src.Close()
	}()
	if !b.late {
		select {
		case <-closed:
		case <-b.limit.C:
		}
	}
	b.limit.Stop()
	b.src, b.pending, b.peeking, b.pos = http.NoBody, nil, false, 0
	if len(b.kept) > maxAnswer || b.err == nil {
		cutShort(resp, b)
	}
}

// cutShort makes resp consistent with the part of its body that is kept.
func cutShort(resp *http.Response, b *answer) {
	b.kept, b.err = b.shown(), io.EOF
	header := resp.Header.Clone()
	if plain, _, ok := decode(resp.Header, b.kept); ok {
		b.kept = plain
		header.Del("Content-Encoding")
	}
	resp.ContentLength, resp.TransferEncoding, resp.Trailer = int64(len(b.kept)), nil, nil
	header.Set("Content-Length", strconv.Itoa(len(b.kept)))
	resp.Header = header
}

// hold accounts for a response that was put aside, for the time in which its request waits, and returns what there is to hand
// on: called, restore returns the response. What is held is bounded in sum, so restore may return just its status.
func (t *Transport) hold(resp *http.Response) (restore func() *http.Response) {
	cost := int64(len(resp.Body.(*answer).kept)) + 1<<10 // with its headers
	for name, values := range resp.Header {
		cost += int64(len(name))
		for _, v := range values {
			cost += int64(len(v))
		}
	}
	if t.held.Add(cost) <= maxHeld {
		return func() *http.Response {
			t.held.Add(-cost)
			return resp
		}
	}
	t.held.Add(-cost)
	status, req := resp.StatusCode, resp.Request
	return func() *http.Response {
		return &http.Response{Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Length": {"0"}}, Body: http.NoBody, Request: req}
	}
}
