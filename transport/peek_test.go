package transport_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/transport"
)

// Guarantee 12: what a classifier has read, and has taken no answer for a rejection by, is read
// again by the caller, however slowly it came.
func TestG12_APeekThatWasLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport.Transport{Provider: &stub{}, IsRejected: transport.BodyCode("code", 40), Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			resp := respond(req, 401, "")
			pr, pw := io.Pipe()
			go func() {
				for _, s := range []string{`{"code":`, `41,`, `"rest":"x"}`} {
					time.Sleep(700 * time.Millisecond)
					_, _ = io.WriteString(pw, s)
				}
				pw.Close()
			}()
			resp.Body, resp.ContentLength = pr, -1
			return resp, nil
		})}
		defer tr.Close()
		req, _ := http.NewRequest("GET", "https://api.example.com", nil)
		began := time.Now()
		resp, err := tr.RoundTrip(req)
		if err != nil || time.Since(began) != time.Second {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		b, err := io.ReadAll(resp.Body)
		if string(b) != `{"code":41,"rest":"x"}` || err != nil || resp.Body.Close() != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// Guarantee 12: a response that is handed on while a read that a classifier has begun is still
// under way is the caller's alone: net/http writes the trailers into another. They are there when
// the body has been read.
func TestG12_TrailersOfALatePeek(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"code":`)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(1050 * time.Millisecond)
		_, _ = io.WriteString(w, `41}`)
		w.Header().Set("X-Sum", "7")
	}))
	defer srv.Close()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	tr := &transport.Transport{Provider: returning("t"), Base: base, IsRejected: transport.BodyCode("code", 40)}
	defer tr.Close()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			req, _ := http.NewRequest("GET", srv.URL, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); { // as a reverse proxy does
				for name := range resp.Trailer {
					_ = resp.Trailer.Get(name)
				}
			}
			b, err := io.ReadAll(resp.Body)
			if string(b) != `{"code":41}` || err != nil || resp.Body.Close() != nil || resp.Trailer.Get("X-Sum") != "7" {
				t.Errorf("%q, %v, trailers %v", b, err, resp.Trailer)
			}
		})
	}
	wg.Wait()
}

// Guarantee 12: the caller's Close returns, though a read is stuck that a classifier has begun and
// that holds what Close wants.
func TestG12_CloseAfterALatePeek(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(401)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	base := &http.Transport{}
	tr := &transport.Transport{Provider: returning("t"), Base: base, IsRejected: transport.BodyCode("code", 40)}
	defer tr.Close()
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	resp, err := tr.RoundTrip(req)
	if err != nil || resp.StatusCode != 401 {
		t.Fatal(resp, err)
	}
	closed := make(chan bool)
	go func() { _ = resp.Body.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("Close does not return")
	}
}
