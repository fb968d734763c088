package provider

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// A witness watches a request leave and can tell whether the refresh token in it has. It may say
// that it has where it hasn't, never the other way round.
type witness struct {
	request *http.Request
	body    *sealedBody

	inHeader  bool        // the refresh token is in a header, which goes out before anybody reads the body
	asked     atomic.Bool // net/http has looked for a connection: it says what it does
	connected atomic.Bool // and has got one
}

// newWitness returns req with its body, as it is to be sent, and who watches it.
func newWitness(req *http.Request, body []byte, inHeader bool) *witness {
	w := &witness{inHeader: inHeader}
	if inHeader {
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			GetConn: func(string) { w.asked.Store(true) },
			GotConn: func(httptrace.GotConnInfo) { w.connected.Store(true) },
		}))
	}
	w.request, w.body = req, newSealedBody(req, body)
	return w
}

// left reports whether the refresh token has left, now that the call has ended with err or with an
// answer. From here on the body can't leave any more.
func (w *witness) left(err error) bool {
	if w.body.seal() {
		return true
	}
	if !w.inHeader {
		return false
	}
	switch dial, ok := errors.AsType[*net.OpError](err); {
	case ok && dial.Op == "dial":
		return false
	case w.asked.Load():
		return w.connected.Load()
	}
	return true // a RoundTripper that doesn't say
}

// A sealedBody is the body of a call, and the witness of whether anything in it has left. A secret
// that has not been read can't have been sent, whatever kind of RoundTripper there is below;
// httptrace's hooks say as much only of net/http's own, and WroteRequest may come after RoundTrip
// has returned.
type sealedBody struct {
	data  []byte
	state atomic.Int32 // 0, then once and for all bodyRead or bodySealed, by whichever of Read and seal comes first
}

const (
	bodyRead   = 1
	bodySealed = 2
)

func newSealedBody(req *http.Request, data []byte) *sealedBody {
	b := &sealedBody{data: data}
	req.Body = b.reader()
	req.GetBody = func() (io.ReadCloser, error) { return b.reader(), nil }
	req.ContentLength = int64(len(data))
	return b
}

// seal ends all reading that has not begun, and reports whether any has.
func (b *sealedBody) seal() (read bool) {
	return !b.state.CompareAndSwap(0, bodySealed)
}

func (b *sealedBody) reader() io.ReadCloser {
	return &bodyReader{b, bytes.NewReader(b.data)}
}

type bodyReader struct {
	body *sealedBody
	data *bytes.Reader // not embedded: its WriteTo would pass by Read
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.body.state.CompareAndSwap(0, bodyRead)
	if r.body.state.Load() == bodySealed {
		return 0, errors.New("provider: the call is over")
	}
	return r.data.Read(p)
}

func (r *bodyReader) Close() error { return nil }
