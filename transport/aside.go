package transport

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// maxHeld is how many bytes of rejected responses a Transport keeps while their requests wait.
	// Of those for which there is no room the status is kept, and what begins with a sentence for
	// people is read for that.
	maxHeld  = 2 << 20
	sentence = 4 << 10
)

// putAside reads what it may of resp's body and closes it, so that its connection is free before
// any request waits. resp can be returned later all the same, by restore. What is kept is bounded
// in sum: where there is no room, restore returns the status and the cookies alone. held is what is
// kept in t.held for it, and is to be taken from there when the request goes on.
func (t *Transport) putAside(resp *http.Response) (restore func() *http.Response, held int64) {
	const headers = 1 << 10 // what a response takes beside what its server wrote
	fixed := headers + headerSize(resp.Header)
	most := maxAnswer + fixed
	if 0 <= resp.ContentLength && resp.ContentLength < maxAnswer {
		most = resp.ContentLength + fixed
	}
	room := t.held.Add(most) <= maxHeld
	b := resp.Body.(*answer)
	left := maxAnswer + 1 - len(b.kept)
	keep := left
	if !room {
		keep = sentence - len(b.kept)
	}
	if b.err != nil || b.late {
		left = 0 // there is nothing to read, or no time for it
	}
	b.begin()
	d := drainOf(b.src, left, keep)
	d.wait(b.late, b.limit.C, b.leaves())
	b.limit.Stop()
	d.mu.Lock()
	b.kept, left = append(b.kept, d.kept...), left-d.read
	if b.err == nil {
		b.err = d.err
	}
	d.mu.Unlock()
	b.src, b.pending, b.pos = http.NoBody, nil, 0
	if left <= 0 && len(b.kept) > maxAnswer || b.err == nil {
		cutShort(resp, b)
	}

	cost := int64(len(b.kept)) + fixed
	if room {
		t.held.Add(cost - most)
		return func() *http.Response { return resp }, cost
	}
	t.held.Add(-most)
	status, req, cookies := resp.StatusCode, resp.Request, cookiesOf(resp)
	return func() *http.Response {
		header := http.Header{"Content-Length": {"0"}}
		if len(cookies) > 0 {
			header["Set-Cookie"] = cookies
		}
		return &http.Response{Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Body: http.NoBody, Request: req}
	}, 0
}

// cutShort makes resp consistent with the part of its body that is kept.
func cutShort(resp *http.Response, b *answer) {
	b.kept, b.err = b.shown(), io.EOF
	header := resp.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if plain, _, ok := decode(resp.Header, b.kept); ok {
		b.kept = plain
		header.Del("Content-Encoding")
	}
	resp.ContentLength, resp.TransferEncoding, resp.Trailer = int64(len(b.kept)), nil, nil
	header.Set("Content-Length", strconv.Itoa(len(b.kept)))
	resp.Header = header
}

// A drain reads the rest of a rejected response and closes it, in a goroutine of its own: either
// may block for as long as the server likes. What it brings after it was given up is dropped.
type drain struct {
	done  chan struct{} // closed when the body is
	close func()        // closes the body, once

	mu   sync.Mutex // guards the fields below
	kept []byte     // what was read, up to most
	read int        // how much was read
	err  error      // where src ended, once it has
}

// drainOf starts one that reads up to room bytes and keeps the first most of them. Its goroutine
// ends when src has been closed and no read is under way.
func drainOf(src io.ReadCloser, room, most int) *drain {
	d := &drain{done: make(chan struct{})}
	d.close = sync.OnceFunc(func() {
		_ = src.Close()
		close(d.done)
	})
	go func() {
		defer d.close()
		buf := make([]byte, min(max(room, 0), 8<<10))
		for d.err == nil && d.read < room {
			n, err := src.Read(buf[:min(len(buf), room-d.read)])
			d.add(piece{buf[:n], err}, most)
		}
	}()
	return d
}

// wait waits until the body is closed, until the time is up, or until the caller leaves. Then it
// closes the body under the goroutine's hands, in another one, because that may have to wait as
// well: a compressed body holds a lock while its header is read.
func (d *drain) wait(late bool, limit <-chan time.Time, left <-chan struct{}) {
	if !late {
		select {
		case <-d.done:
			return
		case <-limit:
		case <-left:
		}
	}
	go d.close()
}

func (d *drain) add(p piece, most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = append(d.kept, p.data[:max(min(len(p.data), most-len(d.kept)), 0)]...)
	d.read += len(p.data)
	d.err = p.err
}

// headerSize returns how many bytes a server has written into h.
func headerSize(h http.Header) (n int64) {
	for name, values := range h {
		for _, v := range values {
			n += int64(len(name) + len(v))
		}
	}
	return n
}

// cookiesOf returns the cookies that resp sets, in so far as they are not too long to be kept by
// everyone who waits.
func cookiesOf(resp *http.Response) (cookies []string) {
	left := sentence
	for _, c := range resp.Header["Set-Cookie"] {
		if left -= len(c); left < 0 {
			break
		}
		cookies = append(cookies, c)
	}
	return cookies
}
