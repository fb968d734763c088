package provider

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// A sealedBody is the body of a call, and the witness of whether the refresh token in it has left. A secret that nobody has
// read can't have been sent, whatever kind of RoundTripper there is below; httptrace's hooks say as much only of net/http's own,
// and WroteRequest may come after RoundTrip has returned.
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
