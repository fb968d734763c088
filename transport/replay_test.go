package transport_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/transport"
)

// Guarantee 11: nothing is read ahead. Over HTTP/2 a body can be one half of a conversation, and
// the first half of it may be rejected.
func TestG11_AConversationIsNotReadAhead(t *testing.T) {
	s := &stub{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.accepts(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(401)
			return
		}
		rc := http.NewResponseController(w)
		line := make([]byte, 4)
		for {
			if _, err := io.ReadFull(r.Body, line); err != nil {
				return
			}
			_, _ = w.Write(append([]byte("re:"), line...))
			_ = rc.Flush()
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	tr := &transport.Transport{Provider: s, Base: srv.Client().Transport}
	defer tr.Close()
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.revoke()

	pr, pw := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		_, err := pw.Write([]byte("one."))
		wrote <- err
	}()
	req, _ := http.NewRequest("POST", srv.URL, pr)
	resp, err := tr.RoundTrip(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 7)
	for _, word := range []string{"one.", "two.", "six."} {
		if word != "one." {
			if _, err := pw.Write([]byte(word)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(resp.Body, answer); err != nil || string(answer) != "re:"+word {
			t.Fatalf("answer %q, %v", answer, err)
		}
	}
	pw.Close()
	resp.Body.Close()
}

// A watched body tells when it is read and closed.
type watched struct {
	io.Reader
	reads, closes atomic.Int32
}

func (w *watched) Read(p []byte) (int, error) { w.reads.Add(1); return w.Reader.Read(p) }

func (w *watched) Close() error { w.closes.Add(1); return nil }

// Guarantee 11: a replay starts only after Base has closed the rejected attempt's body, gets what
// was read and then the rest, and what Base still reads after the rejection is not taken from it.
func TestG11_AReplayWaitsForTheFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		var closedAt, replayedAt time.Time
		var got string
		tries := 0
		tr := &transport.Transport{Provider: s, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			if tries++; tries == 1 {
				first := make([]byte, 5)
				_, _ = io.ReadFull(req.Body, first)
				go func() {
					time.Sleep(500 * time.Millisecond)
					if n, err := req.Body.Read(first); n != 0 || err == nil {
						t.Errorf("read %d bytes after the rejection, %v", n, err)
					}
					closedAt = time.Now()
					req.Body.Close()
				}()
				return reject(req), nil
			}
			replayedAt = time.Now()
			all, err := io.ReadAll(req.Body)
			got = string(all)
			return respond(req, 200, ""), errors.Join(err, req.Body.Close())
		})}
		defer tr.Close()
		body := &watched{Reader: strings.NewReader("hello, world")}
		req, _ := http.NewRequest("POST", "https://api.example.com", body)
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
		if closedAt.IsZero() || replayedAt.Before(closedAt) || got != "hello, world" || body.closes.Load() != 1 {
			t.Errorf("closed at %v, replayed at %v with %q; %d closes", closedAt, replayedAt, got, body.closes.Load())
		}
	})
}

// Guarantee 11: a read that Base is stuck in when it gives the body up belongs to the replay.
func TestG11_AReadUnderWayIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		pr, pw := io.Pipe()
		var got string
		tries := 0
		tr := &transport.Transport{Provider: s, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			if tries++; tries == 1 {
				go func() { _, _ = req.Body.Read(make([]byte, 100)) }()
				synctest.Wait() // it is stuck
				req.Body.Close()
				return reject(req), nil
			}
			all, err := io.ReadAll(req.Body)
			got = string(all)
			return respond(req, 200, ""), errors.Join(err, req.Body.Close())
		})}
		defer tr.Close()
		go func() {
			time.Sleep(time.Second)
			_, _ = pw.Write([]byte("late, "))
			_, _ = pw.Write([]byte("but whole"))
			pw.Close()
		}()
		req, _ := http.NewRequest("POST", "https://api.example.com", pr)
		if status, err := send(tr, req); status != 200 || err != nil || got != "late, but whole" {
			t.Errorf("%d, %v, %q", status, err, got)
		}
	})
}

// Guarantee 11: a Base that never lets go of the body costs its caller a second and not the
// request's life.
func TestG11_ABaseThatNeverClosesTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := &transport.Transport{Provider: s, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			return reject(req), nil
		})}
		defer tr.Close()
		pr, _ := io.Pipe()
		req, _ := http.NewRequest("POST", "https://api.example.com", pr)
		began := time.Now()
		resp, err := tr.RoundTrip(req)
		if err != nil || resp.StatusCode != 401 || time.Since(began) != time.Second {
			t.Fatalf("after %s: %v, %v", time.Since(began), resp, err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "the token has expired" || err != nil {
			t.Errorf("body %q, %v", b, err)
		}
	})
}

// The tests here are of guards that could once be deleted without any other test going red.

// Guarantee 11: a read that is under way when the request is rejected may bring more than is kept.
// It is kept all the same: otherwise the replay would go out with what is left, which may be
// nothing, and be accepted.
func TestG11_AReadUnderWayBringsMoreThanIsKept(t *testing.T) {
	for _, closes := range []bool{true, false} { // Base closes the body before the read returns, or after
		t.Run(fmt.Sprint("closed first: ", closes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{}
				body := strings.Repeat("0123456789", 10)
				pr, pw := io.Pipe()
				var got string
				tries := 0
				tr := &transport.Transport{Provider: s, KeepBody: 10, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
					if tries++; tries == 1 {
						go func() {
							_, _ = req.Body.Read(make([]byte, len(body)))
							if !closes {
								req.Body.Close()
							}
						}()
						synctest.Wait() // it is stuck
						if closes {
							req.Body.Close()
						}
						return reject(req), nil
					}
					all, err := io.ReadAll(req.Body)
					got = string(all)
					return respond(req, 200, ""), errors.Join(err, req.Body.Close())
				})}
				defer tr.Close()
				go func() {
					time.Sleep(500 * time.Millisecond)
					_, _ = pw.Write([]byte(body))
					pw.Close()
				}()
				req, _ := http.NewRequest("POST", "https://api.example.com", pr)
				if status, err := send(tr, req); status != 200 || err != nil || got != body {
					t.Errorf("%d, %v, %d bytes arrived, want %d", status, err, len(got), len(body))
				}
			})
		})
	}
}

// Guarantee 11: a body that can seek is rewound to where it began, whatever its length, and closed
// once at the end.
func TestG11_AFileIsRewound(t *testing.T) {
	for _, kind := range kindsOfConnection {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, known length %t", kind, known), func(t *testing.T) {
				s := &sink{stub: &stub{}, arrived: map[string][][sha256.Size]byte{}}
				url, base := listen(t, kind, s)
				tr := &transport.Transport{Provider: s.stub, Base: base}
				defer tr.Close()
				if _, err := tr.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.revoke()
				data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
				name := filepath.Join(t.TempDir(), "f")
				if err := os.WriteFile(name, append([]byte("a header that is not sent"), data...), 0o600); err != nil {
					t.Fatal(err)
				}
				f, err := os.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.Seek(25, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				req, _ := http.NewRequest("PUT", url, f)
				if known {
					req.ContentLength = int64(len(data))
				}
				status, err := send(tr, req)
				if status != 200 || err != nil || len(s.arrived[""]) != 1 || s.arrived[""][0] != sha256.Sum256(data) {
					t.Errorf("%d, %v, %d bodies arrived", status, err, len(s.arrived[""]))
				}
				for tries := 0; ; tries++ { // Base may close a body after it has returned
					_, err := f.Read(make([]byte, 1))
					if errors.Is(err, os.ErrClosed) {
						break
					}
					if tries == 1000 {
						t.Fatalf("the file is still open: %v", err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
	}
	t.Run("a pipe can't seek", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Skip(err)
		}
		s := &sink{stub: &stub{}, arrived: map[string][][sha256.Size]byte{}}
		url, base := listen(t, "HTTP/1.1", s)
		tr := &transport.Transport{Provider: s.stub, Base: base}
		defer tr.Close()
		_, _ = tr.Token(t.Context())
		s.revoke()
		_, _ = w.WriteString("through a pipe")
		w.Close()
		req, _ := http.NewRequest("PUT", url, r)
		if status, err := send(tr, req); status != 200 || err != nil || s.arrived[""][0] != sha256.Sum256([]byte("through a pipe")) {
			t.Errorf("%d, %v", status, err)
		}
	})
}
