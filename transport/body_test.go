package transport_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stayauth/stayauth/transport"
)

// A sink is an API on a real socket that notes what bodies arrive under a good token.
type sink struct {
	*stub
	early bool // reject before the body is read

	mu      sync.Mutex
	arrived map[string][][sha256.Size]byte // by request id
	failed  int                            // bodies that broke off
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ok := s.accepts(r)
	if !ok && s.early {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "rejected", http.StatusUnauthorized)
		return
	}
	h := sha256.New()
	_, err := io.Copy(h, r.Body)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "rejected", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed++
		return
	}
	id := r.Header.Get("X-Client-Request-Id")
	s.arrived[id] = append(s.arrived[id], [sha256.Size]byte(h.Sum(nil)))
}

// Guarantee 10 and 11, and the field's most harmful failure: a replay that sends an empty body and
// reports success. What arrives is compared by SHA-256, for every kind of body, over every kind of
// connection.
func TestG10_BodiesArriveWholeOrNotAtAll(t *testing.T) {
	bytesOf := func(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }
	type body struct {
		name  string
		size  int
		make  func(req *http.Request, data []byte)
		after int // status
	}
	plain := func(data []byte) io.ReadCloser { return io.NopCloser(iotest.HalfReader(bytes.NewReader(data))) }
	withGetBody := func(req *http.Request, data []byte) {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = int64(len(data))
	}
	known := func(req *http.Request, data []byte) {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	}
	unknown := func(req *http.Request, data []byte) { req.Body, req.ContentLength = plain(data), -1 }
	bodies := []body{
		{"none", 0, func(*http.Request, []byte) {}, 200},
		{"NoBody", 0, func(req *http.Request, _ []byte) { req.Body = http.NoBody }, 200},
		{"GetBody", 1000, withGetBody, 200},
		{"GetBody, 1 MiB", 1 << 20, withGetBody, 200},
		{"GetBody, unknown length", 100_000, func(req *http.Request, data []byte) {
			withGetBody(req, data)
			req.ContentLength = -1
		}, 200},
		{"known length", 1000, known, 200},
		{"known length, exactly the limit", 64 << 10, known, 200},
		{"known length, one past the limit", 64<<10 + 1, known, 401},
		{"unknown length", 1000, unknown, 200},
		{"unknown length, 0 for -1", 1000, func(req *http.Request, data []byte) { req.Body, req.ContentLength = plain(data), 0 }, 200},
		{"unknown length, exactly the limit", 64 << 10, unknown, 200},
		{"unknown length, one past the limit", 64<<10 + 1, unknown, 401},
		{"unknown length, empty", 0, unknown, 200},
	}
	for _, kind := range []string{"HTTP/1.1", "HTTP/1.1 without keep-alive", "HTTP/2"} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, early %t", kind, early), func(t *testing.T) {
				s := &sink{stub: &stub{}, early: early, arrived: map[string][][sha256.Size]byte{}}
				srv := httptest.NewUnstartedServer(s)
				if kind == "HTTP/2" {
					srv.EnableHTTP2 = true
					srv.StartTLS()
				} else {
					srv.Start()
				}
				defer srv.Close()
				base := srv.Client().Transport.(*http.Transport)
				base.DisableKeepAlives = kind == "HTTP/1.1 without keep-alive"
				tr := &transport.Transport{Provider: s.stub, Base: base}
				defer tr.Close()
				for _, b := range bodies {
					data := bytesOf(b.size)
					req, err := http.NewRequest("POST", srv.URL, nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("X-Client-Request-Id", b.name)
					b.make(req, data)
					if _, err := tr.Token(t.Context()); err != nil {
						t.Fatal(err)
					}
					s.revoke()
					status, err := send(tr, req)
					if early && b.size >= 64<<10 && err != nil {
						// The server has closed the connection on a body that it did not read: the
						// caller gets the error, and nothing may have arrived.
						s.mu.Lock()
						if n := len(s.arrived[b.name]); n > 0 {
							t.Errorf("%s: %d bodies arrived, and the caller got %v", b.name, n, err)
						}
						s.mu.Unlock()
						continue
					}
					// An early rejection may come before any of the body was read, or before it has
					// passed the limit, and then there is a replay.
					okay := status == b.after || early && b.after == 401 && status == 200
					if err != nil || !okay {
						t.Errorf("%s: status %d, error %v; want %d", b.name, status, err, b.after)
					}
					s.mu.Lock()
					got := s.arrived[b.name]
					s.mu.Unlock()
					if status == 200 && (len(got) != 1 || got[0] != sha256.Sum256(data)) {
						t.Errorf("%s: %d bodies arrived, whole %t", b.name, len(got), len(got) == 1)
					}
					if status != 200 && len(got) != 0 {
						t.Errorf("%s: an effect with status %d", b.name, status)
					}
				}
			})
		}
	}
}

// Guarantee 10 for the ordinary upload: multipart through http.Client.
func TestG10_MultipartUpload(t *testing.T) {
	s := &stub{}
	var got atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.accepts(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(401)
			return
		}
		f, h, err := r.FormFile("file")
		if err != nil {
			t.Errorf("FormFile: %v", err)
			return
		}
		n, _ := io.Copy(io.Discard, f)
		got.Store(n)
		if h.Filename != "a.txt" {
			t.Errorf("file name %q", h.Filename)
		}
	}))
	defer srv.Close()
	tr := &transport.Transport{Provider: s, Base: srv.Client().Transport}
	defer tr.Close()
	client := &http.Client{Transport: tr}
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.revoke()
	pr, pw := io.Pipe()
	form := multipart.NewWriter(pw)
	go func() {
		part, _ := form.CreateFormFile("file", "a.txt")
		_, _ = part.Write(make([]byte, 10_000))
		pw.CloseWithError(form.Close())
	}()
	resp, err := client.Post(srv.URL, form.FormDataContentType(), pr)
	if err != nil || resp.StatusCode != 200 || got.Load() != 10_000 {
		t.Errorf("%v, %v, %d bytes", resp, err, got.Load())
	}
	resp.Body.Close()
}

// GetBody that fails is told, and nothing is sent.
func TestG10_GetBodyThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		mustGet(t, tr)
		s.revoke()
		gone := errors.New("file is gone")
		req, _ := http.NewRequest("POST", "https://api.example.com", strings.NewReader("x"))
		req.GetBody = func() (io.ReadCloser, error) { return nil, gone }
		if _, err := tr.RoundTrip(req); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
		s.want(t, 2, 2, 1)
	})
}

// A body that fails in its middle fails the request, and is not taken for its end.
func TestG10_ABodyThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk error")
		s := &stub{}
		tr := through(t, s)
		mustGet(t, tr)
		req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(bytes.NewReader([]byte("some")), iotest.ErrReader(broken)))
		if _, err := send(tr, req); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}
