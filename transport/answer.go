package transport

import (
	"io"
	"net/http"
	"time"
)

const (
	// maxAnswer is how much of a rejected response is read, and how much of it a classifier gets to
	// see.
	maxAnswer = 64 << 10

	// answerGrace is how long that may take. Over HTTP/2 a server may keep its answer open until it
	// has the rest of a request that is no longer sent, and the header of a compressed answer may
	// never come.
	answerGrace = time.Second
)

// An answer is the body of a response that can be looked at before it is handed on. What was read
// of it while it was peeked at is read again afterwards.
type answer struct {
	from    *http.Response // whose body it is
	like    *http.Response // and which is handed on in its place: net/http writes trailers into from, as it reads
	src     io.ReadCloser
	kept    []byte
	pos     int   // how much of kept has been handed out
	err     error // where src ended, once it has
	peeking bool  // a Close is not meant, and the end comes after maxAnswer bytes or answerGrace

	limit   *time.Timer // of peeking; set by the first read
	late    bool        // it has run out
	pending chan piece  // a read of src that has not returned; nil: there is none
	stuck   bool        // there was one when peeking ended; not written after that
}

// newAnswer returns the body of resp for a classifier, and a response like resp that has it.
func newAnswer(resp *http.Response) (*answer, *http.Response) {
	like := new(http.Response)
	*like = *resp
	like.Trailer = resp.Trailer.Clone()
	b := &answer{from: resp, like: like, src: resp.Body, peeking: true}
	if b.src == nil {
		b.src = http.NoBody
	}
	like.Body = b
	return b, like
}

// end ends peeking. What was read is read again.
func (b *answer) end() {
	b.pos, b.peeking, b.stuck = 0, false, b.pending != nil
}

// A piece is what was read of a response.
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
			n, err := b.src.Read(p)
			b.ended(err)
			return n, err
		}
	}
}

// more reads some more of src, in a goroutine of its own because nothing ends a read for certain,
// and reports whether that has come in time. The goroutine ends when the read does: the next Read
// waits for it.
func (b *answer) more() bool {
	b.begin()
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
	case <-b.leaves():
	}
	b.late = true
	return false
}

// leaves is closed when the caller has given up.
func (b *answer) leaves() <-chan struct{} {
	if b.from.Request == nil {
		return nil
	}
	return b.from.Request.Context().Done()
}

// begin starts the time that peeking may take, once.
func (b *answer) begin() {
	if b.limit == nil {
		b.limit = time.NewTimer(answerGrace)
	}
}

func (b *answer) keep(p piece) {
	b.kept, b.err, b.pending = append(b.kept, p.data...), p.err, nil
	b.ended(p.err)
}

// ended passes the trailers on, which are there once the body has been read to its end.
func (b *answer) ended(err error) {
	if err == io.EOF {
		b.like.Trailer = b.from.Trailer.Clone()
	}
}

// untouched reports whether nothing was read, or is being read.
func (b *answer) untouched() bool { return len(b.kept) == 0 && b.err == nil && b.pending == nil }

// shown returns what a classifier has read, or may have.
func (b *answer) shown() []byte { return b.kept[:min(len(b.kept), maxAnswer)] }

func (b *answer) Close() error {
	switch {
	case b.peeking:
		return nil
	case b.stuck: // Close may have to wait for that read: a compressed body holds a lock while its header is read
		go func() { _ = b.src.Close() }() // ends with the response
		return nil
	}
	return b.src.Close()
}
