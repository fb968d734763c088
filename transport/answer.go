package transport

import (
	"io"
	"time"
)

const (
	// maxAnswer is how much of a rejected response is read, and how much of it a classifier gets to see.
	maxAnswer = 64 << 10

	// answerGrace is how long that may take. Over HTTP/2 a server may keep its answer open until it has the rest of a request
	// that nobody sends any more, and the header of a compressed answer may never come.
	answerGrace = time.Second
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
			return b.src.Read(p)
		}
	}
}

// more reads some more of src, in a goroutine of its own because nothing ends a read for certain, and reports whether that has
// come in time. The goroutine ends when the read does: the next Read waits for it.
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
		b.late = true
		return false
	}
}

// begin starts the time that peeking may take, once.
func (b *answer) begin() {
	if b.limit == nil {
		b.limit = time.NewTimer(answerGrace)
	}
}

func (b *answer) keep(p piece) {
	b.kept, b.err, b.pending = append(b.kept, p.data...), p.err, nil
}

// untouched reports whether nothing was read, or is being read.
func (b *answer) untouched() bool { return len(b.kept) == 0 && b.err == nil && b.pending == nil }

// shown returns what a classifier has read, or may have.
func (b *answer) shown() []byte { return b.kept[:min(len(b.kept), maxAnswer)] }

func (b *answer) Close() error {
	if b.peeking {
		return nil
	}
	return b.src.Close()
}
