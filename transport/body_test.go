package transport_test

import (
	"bytes"
	"context"
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
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A sink is an API on a real socket that notes what bodies arrive under a good token.
type sink struct {
	*stub
	early bool // refuse before the body is read

	mu      sync.Mutex
	arrived map[string][][sha256.Size]byte // by request id
	failed  int                            // bodies that broke off
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ok := s.accepts(r)
	if !ok && s.early {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "refused", http.StatusUnauthorized)
		return
	}
	h := sha256.New()
	_, err := io.Copy(h, r.Body)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "refused", http.StatusUnauthorized)
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

// Guarantee 10 and 11, and the field's most harmful failure: a replay that sends an empty body and reports success. What
// arrives is compared by SHA-256, for every kind of body, over every kind of connection.
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
						// The server has closed the connection on a body that it did not read: the caller gets the error, and
						// nothing may have arrived.
						s.mu.Lock()
						if n := len(s.arrived[b.name]); n > 0 {
							t.Errorf("%s: %d bodies arrived, and the caller got %v", b.name, n, err)
						}
						s.mu.Unlock()
						continue
					}
					// An early refusal may come before any of the body was read, or before it has passed the limit, and then there
					// is a replay.
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

// Guarantee 11: nothing is read ahead. Over HTTP/2 a body can be one half of a conversation, and the first half of it may be
// refused.
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
func (w *watched) Close() error               { w.closes.Add(1); return nil }

// Guarantee 11: a replay starts only after Base has closed the refused attempt's body, gets what was read and then the rest,
// and what Base still reads after the refusal is not taken from it.
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
						t.Errorf("read %d bytes after the refusal, %v", n, err)
					}
					closedAt = time.Now()
					req.Body.Close()
				}()
				return refuse(req), nil
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
				return refuse(req), nil
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

// Guarantee 11: a Base that never lets go of the body costs its caller a second and not the request's life.
func TestG11_ABaseThatNeverClosesTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := &transport.Transport{Provider: s, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			return refuse(req), nil
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

// Guarantee 11: what can be sent only once waits for an early refresh, gets its 401 back at once if it is refused all the
// same, and leaves a better token to the next.
func TestG11_OneShotBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour, delay: time.Second}
		tr := through(t, s)
		upload := func() (int, string, time.Duration) {
			req, _ := http.NewRequest("POST", "https://api.example.com", io.NopCloser(bytes.NewReader(make([]byte, 100<<10))))
			req.ContentLength = 100 << 10
			began := time.Now()
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			return resp.StatusCode, string(b), time.Since(began)
		}
		upload()
		if status, _, took := upload(); status != 200 || took != 0 {
			t.Errorf("under a young token: %d after %s", status, took)
		}
		time.Sleep(50 * time.Minute)
		if status, _, took := upload(); status != 200 || took != time.Second {
			t.Errorf("under an old token: %d after %s, want to wait for the early refresh", status, took)
		}
		s.revoke()
		if status, body, took := upload(); status != 401 || body != "the token has expired" || took != 0 {
			t.Errorf("refused: %d %q after %s", status, body, took)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if status, _, took := upload(); status != 200 || took != 0 {
			t.Errorf("after the refusal: %d after %s", status, took)
		}
		if st := tr.Stats(); st.NotReplayable != 1 || st.Replayed != 0 {
			t.Errorf("stats %+v", st)
		}
	})
	synctest.Test(t, func(t *testing.T) { // an early refresh that fails does not hold it up
		s := &stub{life: time.Hour, delay: time.Second}
		s.mint = func(n int) (provider.Token, error) {
			if n > 1 {
				return provider.Token{}, errors.New("down")
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		req, _ := http.NewRequest("POST", "https://api.example.com", io.NopCloser(bytes.NewReader(make([]byte, 100<<10))))
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
	})
}

// Guarantee 12: the caller's request stays as it was, its body is closed on every path, and the responses name it.
func TestG12_TheCallersRequest(t *testing.T) {
	fails := errors.New("no network")
	tests := []struct {
		name    string
		prepare func(t *testing.T, tr *transport.Transport, s *stub) context.Context
		ok      bool
	}{
		{"accepted", func(t *testing.T, tr *transport.Transport, s *stub) context.Context { return t.Context() }, true},
		{"replayed", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			mustGet(t, tr)
			s.revoke()
			return t.Context()
		}, true},
		{"closed", func(t *testing.T, tr *transport.Transport, s *stub) context.Context { tr.Close(); return t.Context() }, false},
		{"no token", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			s.mint = func(int) (provider.Token, error) { return provider.Token{}, provider.Permanent(fails) }
			return t.Context()
		}, false},
		{"cancelled", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, false},
		{"without a token", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			s.serve = func(req *http.Request) *http.Response { return respond(req, 200, "") }
			return transport.WithoutToken(t.Context())
		}, true},
		{"misconfigured", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			tr.Origins = []string{"api.example.com"}
			return t.Context()
		}, false},
		{"plain http", func(t *testing.T, tr *transport.Transport, s *stub) context.Context {
			tr.Origins = []string{"https://api.example.com", "http://api.example.com"}
			return t.Context()
		}, false},
	}
	for _, tt := range tests {
		for _, known := range []int64{12, -1} {
			t.Run(fmt.Sprintf("%s, length %d", tt.name, known), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &stub{}
					tr := through(t, s)
					ctx := tt.prepare(t, tr, s)
					body := &watched{Reader: strings.NewReader("hello, world")}
					req, _ := http.NewRequestWithContext(ctx, "POST", "https://api.example.com/x?y=z", body)
					req.ContentLength = known
					req.Header.Set("Authorization", "Bearer mine")
					req.Header.Set("X-Other", "kept")
					was := fmt.Sprintf("%v %v %v %v %p", req.Method, req.URL, req.Header, req.ContentLength, req.Body)
					resp, err := tr.RoundTrip(req)
					if (err == nil) != tt.ok {
						t.Fatalf("error %v", err)
					}
					if is := fmt.Sprintf("%v %v %v %v %p", req.Method, req.URL, req.Header, req.ContentLength, req.Body); is != was {
						t.Errorf("the request was %s and is %s", was, is)
					}
					if body.closes.Load() != 1 {
						t.Errorf("the body was closed %d times", body.closes.Load())
					}
					if err == nil && resp.Request != req {
						t.Error("Response.Request is another request")
					}
				})
			})
		}
	}
}

// Guarantee 12: the classifier sees the caller's request and may do with the body what it likes.
func TestG12_WhatTheClassifierSees(t *testing.T) {
	for name, read := range map[string]func(*http.Response){
		"nothing":  func(*http.Response) {},
		"a little": func(r *http.Response) { _, _ = r.Body.Read(make([]byte, 3)) },
		"all":      func(r *http.Response) { _, _ = io.ReadAll(r.Body) },
		"closes":   func(r *http.Response) { _, _ = io.ReadAll(r.Body); r.Body.Close() },
		"replaces": func(r *http.Response) { r.Body = http.NoBody },
	} {
		for _, rejected := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, rejected %t", name, rejected), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					long := strings.Repeat("x", 200<<10)
					var req *http.Request
					seen := 0
					s := &stub{serve: func(r *http.Request) *http.Response { return respond(r, 401, long) }}
					tr := through(t, s)
					tr.IsRejected = func(resp *http.Response) bool {
						if resp.Request != req {
							t.Error("the classifier sees another request")
						}
						if seen == 0 {
							probe, _ := io.ReadAll(resp.Body)
							if len(probe) != 64<<10 {
								t.Errorf("the classifier can read %d bytes", len(probe))
							}
						}
						seen++
						read(resp)
						return rejected
					}
					req, _ = http.NewRequest("GET", "https://api.example.com/", nil)
					resp, err := tr.RoundTrip(req)
					if err != nil || resp.StatusCode != 401 {
						t.Fatalf("%v, %v", resp, err)
					}
					b, err := io.ReadAll(resp.Body)
					if err != nil || !strings.HasPrefix(long, string(b)) || len(b) < 64<<10 || !rejected && len(b) != len(long) {
						t.Errorf("%d bytes are left, %v", len(b), err)
					}
					if resp.ContentLength != int64(len(b)) {
						t.Errorf("ContentLength %d for %d bytes", resp.ContentLength, len(b))
					}
				})
			})
		}
	}
}

// Guarantee 12: the refused response's connection is free before anybody waits, or a limit of one connection is a deadlock.
func TestG12_OneConnectionIsEnough(t *testing.T) {
	s := &stub{}
	var tokens atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			fmt.Fprint(w, s.issue(fmt.Sprint("t", tokens.Add(1))).Value())
		case !s.accepts(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(401)
			_, _ = w.Write(make([]byte, 10_000))
		}
	}))
	defer srv.Close()
	base := srv.Client().Transport.(*http.Transport)
	base.MaxConnsPerHost = 1
	own := &http.Client{Transport: base}
	tr := &transport.Transport{Base: base, Provider: provider.Func(func(ctx context.Context) (string, error) {
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/token", nil)
		resp, err := own.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	})}
	defer tr.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 5 {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
				if status, err := send(tr, req); status != 200 || err != nil {
					t.Errorf("%d, %v", status, err)
				}
			}
		})
	}
	s.revoke()
	wg.Wait()
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
