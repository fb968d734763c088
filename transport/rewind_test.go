package transport_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/transport"
)

// kindsOfConnection are servers that take 8 MiB from one client in each of the ways that net/http
// has.
var kindsOfConnection = []string{"HTTP/1.1", "HTTP/1.1 without keep-alive", "HTTP/2"}

func listen(t *testing.T, kind string, h http.Handler) (url string, base *http.Transport) {
	srv := httptest.NewUnstartedServer(h)
	if kind == "HTTP/2" {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	base = srv.Client().Transport.(*http.Transport)
	base.DisableKeepAlives = kind == "HTTP/1.1 without keep-alive"
	return srv.URL, base
}

// Guarantee 10 and 11: 8 MiB from a file whose GetBody rewinds the one file that there is, as other
// retrying clients hand it down, against an API that rejects before it has read them. What is
// stored is whole, or the caller is told: with a replay that does not wait for the last attempt's
// reader, every eighth was stored corrupt, with a 200.
func TestG10_OneReaderRewound(t *testing.T) {
	const size = 8 << 20
	name := filepath.Join(t.TempDir(), "upload")
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for i := range data {
		data[i] ^= byte(i >> 12) // no two pages are the same
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(data)
	tries := 25
	if testing.Short() {
		tries = 3
	}
	bodies := map[string]func(*http.Request, *os.File){
		"GetBody": func(req *http.Request, f *os.File) {
			req.Body = io.NopCloser(f)
			req.GetBody = func() (io.ReadCloser, error) {
				_, err := f.Seek(0, io.SeekStart)
				return io.NopCloser(f), err
			}
		},
		"a file": func(req *http.Request, f *os.File) { req.Body = f },
	}
	for _, kind := range kindsOfConnection {
		for how, set := range bodies {
			t.Run(kind+" "+how, func(t *testing.T) {
				s := &stub{}
				var stored, corrupt atomic.Int32
				url, base := listen(t, kind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !s.accepts(r) {
						w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
						http.Error(w, "rejected", http.StatusUnauthorized)
						return
					}
					h := sha256.New()
					if _, err := io.Copy(h, r.Body); err != nil {
						return
					}
					stored.Add(1)
					if [sha256.Size]byte(h.Sum(nil)) != want {
						corrupt.Add(1)
					}
				}))
				tr := &transport.Transport{Provider: s, Base: base}
				defer tr.Close()
				accepted := int32(0)
				for range tries {
					if _, err := tr.Token(t.Context()); err != nil {
						t.Fatal(err)
					}
					s.revoke()
					f, err := os.Open(name)
					if err != nil {
						t.Fatal(err)
					}
					req, _ := http.NewRequest("PUT", url, nil)
					req.ContentLength = size
					set(req, f)
					if status, err := send(tr, req); err == nil && status == 200 {
						accepted++
					}
					f.Close()
				}
				if corrupt.Load() != 0 || stored.Load() != accepted {
					t.Errorf("%d of %d uploads were stored corrupt; %d callers were told that theirs was stored", corrupt.Load(), stored.Load(), accepted)
				}
				t.Logf("%d of %d uploads were stored", stored.Load(), tries)
			})
		}
	}
}

// Guarantee 10: no attempt begins before Base has let go of the last one's body, also where GetBody
// could return another reader, and also while a read is under way that Base no longer waits for.
func TestG10_NoTwoAttemptsReadAtOnce(t *testing.T) {
	for _, how := range []string{"GetBody", "seek"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				src := &slowSeeker{data: []byte("hello, world")}
				var mu sync.Mutex
				closedAt, began := time.Time{}, time.Time{}
				tries := 0
				tr := &transport.Transport{Provider: s, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
					if tries++; tries == 1 {
						go func() { _, _ = req.Body.Read(make([]byte, 5)) }() // it takes 300 ms
						synctest.Wait()
						go func() {
							time.Sleep(100 * time.Millisecond)
							req.Body.Close() // Base does not wait for the read
							mu.Lock()
							closedAt = time.Now()
							mu.Unlock()
						}()
						return reject(req), nil
					}
					mu.Lock()
					began = time.Now()
					mu.Unlock()
					b, err := io.ReadAll(req.Body)
					if string(b) != "hello, world" {
						t.Errorf("%q arrived", b)
					}
					return respond(req, 200, ""), errors.Join(err, req.Body.Close())
				})}
				defer tr.Close()
				req, _ := http.NewRequest("POST", "https://api.example.com", nil)
				req.Body, req.ContentLength = src, 12
				if how == "GetBody" {
					req.Body = io.NopCloser(src)
					req.GetBody = func() (io.ReadCloser, error) { src.pos = 0; return io.NopCloser(src), nil }
				}
				start := time.Now()
				if status, err := send(tr, req); status != 200 || err != nil {
					t.Fatalf("%d, %v", status, err)
				}
				if src.most != 1 || began.Sub(start) < 300*time.Millisecond || closedAt.IsZero() {
					t.Errorf("%d reads at once; the replay began after %s", src.most, began.Sub(start))
				}
			})
		})
	}
}

// A slowSeeker takes 300 ms for its first read.
type slowSeeker struct {
	data       []byte
	pos        int
	reads      int
	busy, most int
}

func (s *slowSeeker) Read(p []byte) (int, error) {
	s.busy++
	s.most = max(s.most, s.busy)
	if s.reads++; s.reads == 1 {
		time.Sleep(300 * time.Millisecond)
	}
	defer func() { s.busy-- }()
	if s.pos == len(s.data) {
		return 0, io.EOF
	}
	n := copy(p, s.data[s.pos:])
	s.pos += n
	return n, nil
}

func (s *slowSeeker) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		s.pos = int(offset)
	}
	return int64(s.pos), nil
}

func (*slowSeeker) Close() error { return nil }

// Guarantee 10: Base may ask for another body itself, for a connection that broke, and gets one
// that a later replay waits for.
func TestG10_BaseAsksForAnotherBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		data := []byte("hello, world")
		r := bytes.NewReader(data)
		tries := 0
		var released, replayed time.Time
		tr := &transport.Transport{Provider: s, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			if tries++; tries == 1 {
				_, _ = req.Body.Read(make([]byte, 3))
				req.Body.Close()
				again, err := req.GetBody()
				if err != nil {
					return nil, err
				}
				_, _ = again.Read(make([]byte, 3))
				go func() {
					time.Sleep(500 * time.Millisecond)
					released = time.Now()
					again.Close()
				}()
				return reject(req), nil
			}
			replayed = time.Now()
			b, err := io.ReadAll(req.Body)
			if !bytes.Equal(b, data) {
				t.Errorf("%q arrived", b)
			}
			return respond(req, 200, ""), errors.Join(err, req.Body.Close())
		})}
		defer tr.Close()
		req, _ := http.NewRequest("POST", "https://api.example.com", nil)
		req.GetBody = func() (io.ReadCloser, error) { r.Reset(data); return io.NopCloser(r), nil }
		req.Body, _ = req.GetBody()
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
		if replayed.Before(released) || released.IsZero() {
			t.Errorf("released at %v, replayed at %v", released, replayed)
		}
	})
}
