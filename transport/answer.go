package transport

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/stayauth/stayauth/provider"
)

// maxAnswer is how much of a rejected response is read, and how much of it a classifier gets to see.
const maxAnswer = 64 << 10

// An answerBody is the body of a 401 that can be looked at before it is handed on. What was read of it while it was peeked
// at is read again afterwards.
type answerBody struct {
	src     io.ReadCloser
	kept    []byte
	pos     int   // how much of kept has been handed out
	err     error // where src ended, once it has
	peeking bool  // a Close is not meant, and the end comes after maxAnswer bytes
}

func (b *answerBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.pos < len(b.kept) {
		n := copy(p, b.kept[b.pos:])
		b.pos += n
		return n, nil
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case !b.peeking:
		return b.src.Read(p)
	case len(b.kept) >= maxAnswer:
		return 0, io.EOF
	}
	n, err := b.src.Read(p[:min(len(p), maxAnswer-len(b.kept))])
	b.kept = append(b.kept, p[:n]...)
	b.pos += n
	b.err = err
	return n, err
}

func (b *answerBody) Close() error {
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
	b := &answerBody{src: resp.Body, peeking: true}
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

// keepAnswer reads what it may of resp's body and closes it, so that its connection is free before anybody waits. resp can be
// returned later all the same; what exceeds maxAnswer, or takes longer than closeGrace, is lost: over HTTP/2 a server may
// keep its answer open until it has the rest of a request that nobody sends any more. An error while reading is found again
// at the end of the body.
func keepAnswer(resp *http.Response) {
	b := resp.Body.(*answerBody)
	src := b.src
	closeSrc := sync.OnceFunc(func() { _ = src.Close() })
	giveUp := time.AfterFunc(closeGrace, closeSrc)
	b.pos, b.peeking = len(b.kept), true
	_, _ = io.Copy(io.Discard, b)
	if b.err == nil {
		// One read past the limit: an end there lets the connection be used again.
		var one [1]byte
		if n, err := b.src.Read(one[:]); n == 0 && err == io.EOF {
			b.err = io.EOF
		}
	}
	if !giveUp.Stop() {
		b.err = nil // what it says is that it was closed
	}
	closeSrc()
	if b.err == nil {
		b.err = io.EOF
		resp.ContentLength = int64(len(b.kept))
	}
	b.pos, b.peeking = 0, false
	b.src = http.NoBody
}

// rejectionOf returns what is worth keeping of a rejected response. It is called after keepAnswer, or before for a response
// that goes back to the caller.
func rejectionOf(resp *http.Response, tok provider.Token) *rejection {
	r := &rejection{status: resp.StatusCode}
	if b, ok := resp.Body.(*answerBody); ok {
		r.message = messageIn(resp.Header, b.kept)
	}
	if v := tok.Value(); v != "" {
		r.message = strings.ReplaceAll(r.message, v, "REDACTED")
	}
	r.message = shorten(r.message)
	return r
}

// messageIn finds the sentence in a rejected response that is meant for people.
func messageIn(h http.Header, body []byte) string {
	var in struct {
		Message     string `json:"message"`
		Description string `json:"error_description"`
		Error       any    `json:"error"`
	}
	if plain, err := decoded(h, bytes.NewReader(body)); err == nil && json.Unmarshal(plain, &in) == nil {
		e, _ := in.Error.(string)
		for _, s := range []string{in.Message, in.Description, e} {
			if s != "" {
				return s
			}
		}
	}
	for c := range challenges(h) {
		if d := c.params["error_description"]; d != "" {
			return d
		}
	}
	return ""
}

// shorten makes s fit for a log line.
func shorten(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
