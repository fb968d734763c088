package transport_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 16 and 18: what is kept of rejected answers is bounded in sum. Who waited in vain gets
// its status all the same.
func TestG16_TenThousandErrorPages(t *testing.T) {
	const n = 10_000
	var release, sent sync.WaitGroup
	release.Add(1)
	sent.Add(n)
	calls := 0
	tr := &transport.Transport{RefreshTimeout: time.Hour, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
		if calls++; calls > 1 {
			release.Wait()
		}
		return provider.NewToken("the same", time.Time{}), nil // as before: there is nothing better
	}), Authorize: func(*http.Request, provider.Token) {}}
	tr.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
		sent.Done()
		sent.Wait() // all are in flight when the first is rejected
		resp := reject(req)
		resp.Body, resp.ContentLength = io.NopCloser(&zeros{64 << 10}), 64<<10
		return resp, nil
	})
	defer tr.Close()
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := heap()
	var wg sync.WaitGroup
	var mu sync.Mutex
	whole := 0
	for range n {
		wg.Go(func() {
			req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
			resp, err := tr.RoundTrip(req)
			if err != nil || resp.StatusCode != 401 {
				t.Errorf("%v, %v", resp, err)
				return
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || strconv.Itoa(len(b)) != cmpOr(resp.Header.Get("Content-Length"), strconv.Itoa(64<<10)) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(b) == 64<<10 {
				whole++
			}
		})
	}
	for tr.Stats().Waiting < n {
		time.Sleep(time.Millisecond)
	}
	kept := float64(heap()-before) / n
	release.Done()
	wg.Wait()
	t.Logf("%.0f bytes of heap for each of %d that wait, request, goroutine and answer; %d answers were kept whole", kept, n, whole)
	if kept > 4096 { // 64 KiB each without the bound
		t.Errorf("%.0f bytes of heap for each that waits", kept)
	}
	if whole == 0 || whole > 100 {
		t.Errorf("%d answers were kept whole", whole)
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// zeros is a reader of n bytes.
type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.n)
	clear(p[:n])
	z.n -= n
	return n, nil
}

// Guarantee 16: a WWW-Authenticate of 8 MiB costs a small multiple of what is looked at.
func TestG16_ALongChallenge(t *testing.T) {
	for name, value := range map[string]string{
		"one long string": `Bearer realm="` + strings.Repeat("x", 8<<20) + `"`,
		"many parameters": `Bearer ` + strings.Repeat(`a="b",`, 8<<20/6),
		"many challenges": strings.Repeat("Basic,", 8<<20/6),
		"escapes":         `Bearer realm="` + strings.Repeat(`\x`, 4<<20) + `"`,
		"different names": func() string {
			var b strings.Builder
			for i := 0; b.Len() < 8<<20; i++ {
				fmt.Fprintf(&b, "Bearer p%d=%d,", i, i)
			}
			return b.String()
		}(),
		"nothing that reads": strings.Repeat("=", 8<<20),
	} {
		t.Run(name, func(t *testing.T) {
			resp := &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {value}}, Body: http.NoBody}
			tr := &transport.Transport{Provider: returning("t"), Logger: slog.New(slog.DiscardHandler), Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				r := *resp
				r.Request = req
				return &r, nil
			})}
			defer tr.Close()
			_, _ = tr.Token(t.Context())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := get(tr, t.Context())
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 3<<20 {
				t.Errorf("%d bytes were allocated, %v", n, err)
			}
		})
	}
}

// Guarantee 16: an endless or exploding error body costs 64 KiB, and the answer after it is served.
func TestG16_ErrorBodiesAreBounded(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		t.Run(encoding, func(t *testing.T) {
			s := &stub{}
			stop := make(chan struct{})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if s.accepts(r) {
					return
				}
				if encoding != "" {
					w.Header().Set("Content-Encoding", encoding)
					w.WriteHeader(401)
					_, _ = w.Write(gzipBomb())
					return
				}
				w.WriteHeader(401)
				junk := make([]byte, 32<<10)
				for r.Context().Err() == nil { // until the client has had enough
					select {
					case <-stop:
						return
					default:
						_, _ = w.Write(junk)
					}
				}
			}))
			defer srv.Close()
			defer close(stop)
			tr := &transport.Transport{Provider: s, Base: srv.Client().Transport, IsRejected: func(r *http.Response) bool {
				transport.BodyCode("code", 40)(r) // reads what it may
				return true
			}}
			defer tr.Close()
			if _, err := tr.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.revoke()
			req, _ := http.NewRequest("GET", srv.URL, nil)
			req.Header.Set("Accept-Encoding", "gzip") // so that http.Transport leaves the decoding to us
			if status, err := send(tr, req); status != 200 || err != nil {
				t.Errorf("%d, %v", status, err)
			}
		})
	}
}

// Guarantee 16: a body that is all brackets costs no more to be judged than any other.
func TestG16_NestedArrays(t *testing.T) {
	body := strings.Repeat("[", 9000) + strings.Repeat("{},", 15000) + "{}" + strings.Repeat("]", 9000)
	done := make(chan bool)
	go func() {
		for range 20 { // 8 s each, once
			transport.BodyCode("code", 40)(&http.Response{StatusCode: 401, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))})
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it takes minutes")
	}
}

// Guarantee 16: headers count for what is kept of rejected answers, too.
func TestG16_LongHeadersOfThoseWhoWait(t *testing.T) {
	const n = 300
	release := make(chan struct{})
	var sent sync.WaitGroup
	sent.Add(n)
	calls := 0
	tr := &transport.Transport{RefreshTimeout: time.Hour, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
		if calls++; calls > 1 {
			<-release
		}
		return provider.NewToken(fmt.Sprint("t", calls), time.Time{}), nil
	}), Base: roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("Authorization") == "Bearer t2" {
			return respond(req, 200, ""), nil
		}
		sent.Done()
		sent.Wait()
		resp := reject(req)
		resp.Header.Set("X-Long", strings.Repeat("x", 200<<10))
		resp.Header.Set("Set-Cookie", strings.Repeat("c", 200<<10))
		return resp, nil
	})}
	defer tr.Close()
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := heap()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if status, err := get(tr, t.Context()); status != 200 || err != nil {
				t.Error(status, err)
			}
		})
	}
	for tr.Stats().Waiting < n {
		time.Sleep(time.Millisecond)
	}
	if kept := heap() - before; kept > 16<<20 { // 120 MiB of headers came
		t.Errorf("%d bytes are kept", kept)
	}
	close(release)
	wg.Wait()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func zlibbed(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

// gzipBomb is 50 MiB in 50 KiB.
func gzipBomb() []byte { return gzipped(make([]byte, 50<<20)) }
