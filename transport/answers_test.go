package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 12: a rejected answer is read for a second at most, whatever it is made of: a gzip
// header that never comes, which holds a lock that Close wants too; a body that stalls, or never
// ends. The same holds for what a classifier reads.
func TestG12_AnswersThatStall(t *testing.T) {
	tests := []struct {
		name    string
		headers map[string]string
		write   func(w http.ResponseWriter, r *http.Request)
	}{
		{"a gzip header that never comes", map[string]string{"Content-Encoding": "gzip"}, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"half a gzip header", map[string]string{"Content-Encoding": "gzip"}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte{0x1f, 0x8b, 8})
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"a body that stalls", nil, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"code":`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"a body that drips", nil, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}},
	}
	for _, tt := range tests {
		for _, how := range []string{"Bearer", "BodyCode"} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				s := &stub{}
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if s.accepts(r) {
						return
					}
					for k, v := range tt.headers {
						w.Header().Set(k, v)
					}
					w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
					w.WriteHeader(http.StatusUnauthorized)
					_ = http.NewResponseController(w).Flush()
					tt.write(w, r)
				}))
				defer srv.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel() // which lets go of the connection
				tr := &transport.Transport{Provider: s, Base: &http.Transport{}}
				defer tr.Close()
				if how == "BodyCode" {
					tr.IsRejected = transport.BodyCode("code", 40)
				}
				if _, err := tr.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.revoke()
				req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
				resp, err := tr.RoundTrip(req) // the test's own time limit is what would tell
				if err != nil {
					t.Fatal(err)
				}
				if want := map[string]int{"Bearer": 200, "BodyCode": 401}[how]; resp.StatusCode != want {
					t.Errorf("status %d, want %d", resp.StatusCode, want)
				}
				cancel()
				resp.Body.Close()
			})
		}
	}
}

// Guarantee 12: a rejected answer that is longer than what is kept is consistent with its headers
// when it is handed on after all.
func TestG12_AnAnswerThatIsCutShort(t *testing.T) {
	page := strings.Repeat("a long error page. ", 100<<10/19+1)[:100<<10]
	noise := make([]byte, 100<<10) // which gzip can't make shorter
	for i := range noise {
		noise[i] = byte((i*i*2654435761 + i) >> 11)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(noise)
	z.Close()
	tests := []struct {
		name     string
		body     []byte
		encoding string
		want     []byte // its beginning
	}{
		{"plain", []byte(page), "", []byte(page)},
		{"gzip, as the caller asked", packed.Bytes(), "gzip", noise},
		{"an encoding that is not known here", []byte(page), "br", []byte(page)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				w.Header().Set("Content-Length", strconv.Itoa(len(tt.body)))
				if tt.encoding != "" {
					w.Header().Set("Content-Encoding", tt.encoding)
				}
				w.WriteHeader(401)
				_, _ = w.Write(tt.body)
			}))
			defer srv.Close()
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			tr := &transport.Transport{Provider: returning("t1"), Base: base} // the same token again: there is nothing better
			defer tr.Close()
			req, _ := http.NewRequest("GET", srv.URL, nil)
			req.Header.Set("Accept-Encoding", "gzip")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 401 || len(b) == 0 || len(b) > 64<<10 || !bytes.HasPrefix(tt.want, b) {
				t.Fatalf("%d, %d bytes, %v", resp.StatusCode, len(b), err)
			}
			if cl := resp.Header.Get("Content-Length"); cl != strconv.Itoa(len(b)) || resp.ContentLength != int64(len(b)) {
				t.Errorf("%d bytes, and the headers say %s and %d", len(b), cl, resp.ContentLength)
			}
			if e := resp.Header.Get("Content-Encoding"); e == "gzip" {
				t.Errorf("a part of a body, and the headers say %s", e)
			}
		})
	}
}

// Guarantee 12: a cookie that a rejected answer sets is not lost, and does not win over that of the
// last.
func TestG12_CookiesOfARejectedAnswer(t *testing.T) {
	s := &stub{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "last", Value: fmt.Sprint(s.accepts(r))})
		if !s.accepts(r) {
			http.SetCookie(w, &http.Cookie{Name: "node", Value: "7"})
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(401)
		}
	}))
	defer srv.Close()
	jar, _ := cookiejar.New(nil)
	tr := &transport.Transport{Provider: s, Base: &http.Transport{DisableKeepAlives: true}}
	defer tr.Close()
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.revoke()
	resp, err := (&http.Client{Transport: tr, Jar: jar}).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	got := map[string]string{}
	for _, c := range jar.Cookies(resp.Request.URL) {
		got[c.Name] = c.Value
	}
	if resp.StatusCode != 200 || got["node"] != "7" || got["last"] != "true" {
		t.Errorf("%d, cookies %v", resp.StatusCode, got)
	}
}

// A rejection that a replay can't cure, because the provider fails, is the provider's error and not
// the 401, which programs take for a reason to log the user out; and nothing of the answer that was
// kept stays.
func TestG12_NothingIsHeldAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			if n%2 == 0 {
				return provider.Token{}, provider.NoRetry(errors.New("down"))
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		page := strings.Repeat("x", 60<<10)
		s.serve = func(req *http.Request) *http.Response {
			if s.accepts(req) {
				return nil
			}
			resp := reject(req)
			resp.Body = io.NopCloser(strings.NewReader(page))
			return resp
		}
		for range 200 { // 12 MiB in sum, of which 2 are kept at most
			mustGet(t, tr)
			time.Sleep(time.Minute)
			s.revoke()
			_, err := get(tr, t.Context())
			if _, ok := errors.AsType[*transport.RefreshError](err); !ok {
				t.Fatalf("error %v, stats %+v, %v", err, tr.Stats(), s.olds)
			}
			time.Sleep(time.Minute)
		}
		// There is room for the next: it is handed on whole.
		s.mint = nil
		mustGet(t, tr)
		tok, _ := tr.Token(t.Context())
		s.mint = func(int) (provider.Token, error) { return tok, nil } // the same again: there is nothing better
		time.Sleep(time.Minute)
		s.revoke()
		req, _ := http.NewRequest("GET", "https://api.example.com/", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); len(b) != len(page) {
			t.Errorf("%d bytes", len(b))
		}
	})
}

// Guarantee 12: a 401 that does not end is not waited for. Over HTTP/2 that is an ordinary sight:
// net/http stops sending a body when it sees the status, and a server may want all of it before it
// ends its answer.
func TestG12_A401ThatDoesNotEnd(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(proto+" "+method, func(t *testing.T) {
				s := &stub{}
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !s.accepts(r) {
						w.Header().Set("WWW-Authenticate", "Bearer")
						w.WriteHeader(401)
						_ = http.NewResponseController(w).Flush()
						if method == "GET" {
							<-r.Context().Done()
						}
					}
					_, _ = io.Copy(io.Discard, r.Body)
				}))
				if proto == "HTTP/2" {
					srv.EnableHTTP2 = true
					srv.StartTLS()
				} else {
					srv.Start()
				}
				defer srv.Close()
				tr := &transport.Transport{Provider: s, Base: srv.Client().Transport}
				defer tr.Close()
				if _, err := tr.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.revoke()
				var body io.Reader
				if method == "POST" {
					pr, pw := io.Pipe()
					body = pr
					go func() { // until it is read to its end, or closed
						for range 100 {
							if _, err := pw.Write(make([]byte, 100)); err != nil {
								return
							}
						}
						pw.Close()
					}()
				}
				req, _ := http.NewRequest(method, srv.URL, body)
				if status, err := send(tr, req); status != 200 || err != nil {
					t.Errorf("%d, %v", status, err)
				}
			})
		}
	}
}
