package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// The tests here are of what a review that set out to break the guarantees has found. Each failed once.

// Guarantee 4: RefreshTimeout bounds a refresh as a whole, whatever its rounds and pauses. Only a dead token's pause comes on
// top.
func TestG04_RefreshTimeoutBoundsTheWhole(t *testing.T) {
	t.Run("the same dead token from a slow provider", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{delay: 20 * time.Second, mint: func(int) (provider.Token, error) { return provider.NewToken("dead", time.Time{}), nil }}
			tr := through(t, s)
			tok, _ := tr.Token(t.Context())
			tr.Reject(tok)
			began := time.Now()
			_, err := tr.Token(t.Context())
			if _, ok := errors.AsType[*transport.RefreshError](err); !ok || time.Since(began) != 30250*time.Millisecond {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		})
	})
	t.Run("RetryAfter and then a slow provider", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &stub{life: time.Minute}
			s.mint = func(n int) (provider.Token, error) {
				if n == 2 { // early, at 45 s or a little later
					s.delay = time.Hour
					return provider.Token{}, provider.RetryAfter(errors.New("busy"), 35*time.Second)
				}
				return provider.Token{}, nil
			}
			tr := through(t, s)
			mustGet(t, tr)
			time.Sleep(50 * time.Second)
			mustGet(t, tr)
			synctest.Wait()
			time.Sleep(10 * time.Second)
			began := time.Now()
			if _, err := get(tr, t.Context()); err == nil || time.Since(began) != 30*time.Second {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		})
	})
}

// Guarantee 5: the same opaque token, its end computed anew from each answer in whole seconds, is not a new token each time.
func TestG05_AnEndThatWobbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &stub{}
		s.mint = func(n int) (provider.Token, error) {
			s.issue("same")
			return provider.NewToken("same", began.Add(time.Hour+time.Duration(n)*time.Millisecond)), nil
		}
		tr := through(t, s)
		for time.Since(began) < time.Hour {
			mustGet(t, tr)
			time.Sleep(100 * time.Millisecond)
		}
		s.want(t, 7, 36000, 0) // the first call, and six early ones
		// One that is really prolonged is.
		time.Sleep(time.Second)
		began = time.Now()
		mustGet(t, tr)
		if st := tr.Stats(); !st.Expiry.After(time.Now().Add(50 * time.Minute)) {
			t.Errorf("it ends at %v, now is %v", st.Expiry, time.Now())
		}
	})
}

// Guarantee 6: a RetryAfter counts from when the provider said it, once, also if it comes late.
func TestG06_RetryAfterCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			switch n++; n {
			case 1:
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 25*time.Second)
			case 2:
				<-ctx.Done()
				return provider.Token{}, ctx.Err()
			}
			return provider.NewToken("t", time.Time{}), nil
		})}
		defer tr.Close()
		if _, err := tr.Token(t.Context()); err == nil {
			t.Error("the first refresh succeeded")
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := tr.Token(t.Context()); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			if calls.Add(1) == 1 {
				time.Sleep(31 * time.Second) // whatever the context says
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 10*time.Minute)
			}
			return provider.NewToken("t", time.Time{}), nil
		})}
		defer tr.Close()
		_, _ = tr.Token(t.Context())
		time.Sleep(10 * time.Minute)
		if _, err := tr.Token(t.Context()); err == nil || calls.Load() != 1 {
			t.Errorf("%v, %d calls before RetryAfter has passed", err, calls.Load())
		}
		time.Sleep(2 * time.Second)
		if _, err := tr.Token(t.Context()); err != nil || calls.Load() != 2 {
			t.Errorf("%v, %d calls", err, calls.Load())
		}
	})
}

// Guarantee 6: a RetryAfter at the very end of the refresh, or after it, is obeyed and told as well.
func TestG06_RetryAfterAtTheDeadline(t *testing.T) {
	for i := range 100 { // whether the return or the time limit is seen first is a matter of chance
		takes := 30*time.Second + time.Duration(i%2)*time.Second
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32
			tr := &transport.Transport{Base: &stub{}, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
				if calls.Add(1) == 1 {
					time.Sleep(takes)
					return provider.Token{}, provider.RetryAfter(errors.New("busy"), 10*time.Minute)
				}
				return provider.NewToken("t", time.Time{}), nil
			})}
			defer tr.Close()
			_, _ = tr.Token(t.Context())
			time.Sleep(5 * time.Minute)
			_, err := tr.Token(t.Context())
			re, ok := errors.AsType[*transport.RefreshError](err)
			if !ok || calls.Load() != 1 {
				t.Fatalf("%v, %d calls before RetryAfter has passed", err, calls.Load())
			}
			if d := time.Until(re.NextTry); d < 4*time.Minute {
				t.Fatalf("next try in %s", d)
			}
			time.Sleep(time.Until(re.NextTry))
			if _, err := tr.Token(t.Context()); err != nil {
				t.Errorf("at the next try: %v", err)
			}
		})
	}
}

// Guarantee 5: a RetryAfter that comes late, while the token lives, puts the second early refresh off and does not spend it.
func TestG05_ALateRetryAfterWhileTheTokenLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		s := &stub{life: time.Hour}
		tr := &transport.Transport{Base: s, Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			switch calls.Add(1) {
			case 1:
				return s.issue("t1"), nil
			case 2:
				time.Sleep(31 * time.Second)
				return provider.Token{}, provider.RetryAfter(errors.New("busy"), 450*time.Second)
			}
			time.Sleep(time.Second)
			return s.issue("t2"), nil
		})}
		defer tr.Close()
		for range 61 * 60 {
			before := time.Now()
			mustGet(t, tr)
			if d := time.Since(before); d > 0 {
				t.Fatalf("a request waited %s", d)
			}
			time.Sleep(time.Second)
		}
	})
}

// Guarantee 7: past the third strike nobody waits for a call that is not due, though an early refresh has just failed.
func TestG07_NobodyWaitsForWhatIsNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: 10 * time.Second, serve: func(r *http.Request) *http.Response {
			if r.URL.Path == "/broken" {
				return refuse(r)
			}
			return nil
		}}
		s.mint = func(n int) (provider.Token, error) {
			if n == 8 {
				return provider.Token{}, errors.New("blip")
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		var tok provider.Token
		for range 7 {
			tr.Reject(tok)
			time.Sleep(30 * time.Second)
			tok, _ = tr.Token(t.Context())
		}
		time.Sleep(9 * time.Second)
		s.delay = 500 * time.Millisecond
		mustGet(t, tr) // begins the early refresh
		synctest.Wait()
		tr.Reject(tok)
		time.Sleep(600 * time.Millisecond) // it has failed
		began := time.Now()
		req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
		if _, _ = send(tr, req); time.Since(began) != 0 {
			t.Errorf("a rejected request waited %s", time.Since(began))
		}
	})
}

// Guarantee 11: past the third strike, too, a body that can be sent only once waits for a refresh that is under way.
func TestG11_OneShotDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		tr.KeepBody = -1
		var tok provider.Token
		for range 5 {
			tr.Reject(tok)
			time.Sleep(30 * time.Second)
			tok, _ = tr.Token(t.Context())
		}
		time.Sleep(time.Minute)
		s.revoke()
		s.delay = time.Second
		tr.Reject(tok)
		var wg sync.WaitGroup
		wg.Go(func() { mustGet(t, tr) }) // begins the refresh
		synctest.Wait()
		req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
		wg.Wait()
	})
}

// closedOnce is a body that does not bear a second Close, which io.Closer leaves undefined.
type closedOnce chan struct{}

func (c closedOnce) Read([]byte) (int, error) { <-c; return 0, io.ErrClosedPipe }
func (c closedOnce) Close() error             { close(c); return nil }

// Guarantee 12: a response that is given up on is closed once.
func TestG12_ClosedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		s := &stub{serve: func(r *http.Request) *http.Response {
			if !first {
				return nil
			}
			first = false
			resp := refuse(r)
			resp.Body = closedOnce(make(chan struct{}))
			return resp
		}}
		tr := through(t, s)
		mustGet(t, tr)
	})
}

// Guarantee 7: an endpoint that always answers 401 costs the others nothing, also while the provider is slow or down.
func TestG07_OthersGoOnWhateverTheProviderDoes(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprint("down ", down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := &stub{delay: 2 * time.Second, serve: func(req *http.Request) *http.Response {
					if req.URL.Path == "/broken" {
						return refuse(req)
					}
					return nil
				}}
				s.mint = func(int) (provider.Token, error) {
					if down && time.Since(began) > 2*time.Minute {
						return provider.Token{}, errors.New("down")
					}
					return provider.Token{}, nil
				}
				tr := through(t, s)
				var wg sync.WaitGroup
				wg.Go(func() {
					for time.Since(began) < 5*time.Minute {
						req, _ := http.NewRequest("GET", "https://api.example.com/broken", nil)
						_, _ = send(tr, req)
						time.Sleep(10 * time.Millisecond)
					}
				})
				wg.Go(func() {
					time.Sleep(time.Minute)
					for time.Since(began) < 5*time.Minute {
						before := time.Now()
						if status, err := get(tr, t.Context()); status != 200 || err != nil || time.Since(before) != 0 {
							t.Errorf("a good request: %d, %v after %s", status, err, time.Since(before))
							return
						}
						time.Sleep(10 * time.Millisecond)
					}
				})
				wg.Wait()
			})
		})
	}
}

// Guarantee 7: the pauses hold for a refresh that was begun early, before the token was rejected.
func TestG07_PausesInAnEarlyRefresh(t *testing.T) {
	for _, started := range []bool{true, false} {
		t.Run(fmt.Sprint("provider called: ", started), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{life: 10 * time.Second}
				s.mint = func(n int) (provider.Token, error) {
					if n > 7 {
						return provider.Token{}, errors.New("down")
					}
					return provider.Token{}, nil
				}
				tr := through(t, s)
				var tok provider.Token
				for range 7 {
					tr.Reject(tok)
					time.Sleep(30 * time.Second)
					var err error
					if tok, err = tr.Token(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				arrived := time.Now()
				time.Sleep(9 * time.Second)
				s.delay = time.Second
				mustGet(t, tr) // begins the early refresh
				if started {
					synctest.Wait()
				}
				tr.Reject(tok)
				began := time.Now()
				if status, err := get(tr, t.Context()); status != 200 || err != nil || time.Since(began) != 0 {
					t.Errorf("%d, %v after %s; want the request to go out under the last token", status, err, time.Since(began))
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				early := 0
				for _, at := range s.at[7:] {
					if at.Before(arrived.Add(30 * time.Second)) {
						early++
					}
				}
				if early > 1 {
					t.Errorf("%d calls in the pause after 7 strikes", early)
				}
			})
		})
	}
}

// Guarantee 9: only the provider's call under way is told that it waits for itself. Work that an earlier one has left behind
// waits like everybody, and spoils nothing.
func TestG09_AnEarlierCallsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		var saved context.Context
		n := 0
		tr := &transport.Transport{Base: s, Provider: tokenFunc(func(ctx context.Context, _ provider.Token) (provider.Token, error) {
			switch n++; n {
			case 1:
				saved = context.WithoutCancel(ctx)
			case 2:
				time.Sleep(time.Second)
				return provider.Token{}, errors.New("blip")
			}
			return s.issue(fmt.Sprint("t", n)), nil
		})}
		defer tr.Close()
		mustGet(t, tr)
		tok, _ := tr.Token(t.Context())
		s.revoke()
		tr.Reject(tok)
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(500 * time.Millisecond)
			if _, err := get(tr, saved); err != nil {
				t.Errorf("in the background: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := tr.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	})
}

// Guarantee 11: a long body that would rather wait goes out all the same where it can't, because the token lives.
func TestG11_ALongBodyInAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour, delay: time.Second}
		tr := through(t, s)
		tr.MaxWaiting = 1
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		mustGet(t, tr)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
				if status, err := send(tr, req); status != 200 || err != nil {
					t.Errorf("%d, %v under a live token", status, err)
				}
			})
		}
		wg.Wait()
	})
}

// Guarantee 12: a 401 that does not end is not waited for. Over HTTP/2 that is an ordinary sight: net/http stops sending a body
// when it sees the status, and a server may want all of it before it ends its answer.
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

// Guarantee 12: a classifier that panics loses no connection.
func TestG12_AClassifierThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &watched{Reader: strings.NewReader("x")}
		s := &stub{serve: func(req *http.Request) *http.Response {
			resp := refuse(req)
			resp.Body = body
			return resp
		}}
		tr := through(t, s)
		tr.IsRejected = func(*http.Response) bool { panic("classifier") }
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_, _ = get(tr, t.Context())
		}()
		if body.closes.Load() != 1 {
			t.Error("the response's body is open")
		}
	})
}

// Guarantee 15: what the API says is logged without the token that it was sent, even if that is no longer the current one.
func TestG15_TheTokenThatWasSent(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			n := 0
			tr := &transport.Transport{Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Provider: tokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					n++
					return provider.NewToken(fmt.Sprint("hunter", n), time.Now().Add(time.Hour)), nil
				}),
				Base: roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path != "/slow" {
						return respond(r, 200, ""), nil
					}
					time.Sleep(15 * time.Minute)
					resp := respond(r, 401, "")
					resp.Header.Set("WWW-Authenticate", `Bearer error="insufficient_scope", error_description="`+r.Header.Get("Authorization")+` lacks scope"`)
					return resp, nil
				})}
			defer tr.Close()
			mustGet(t, tr)
			time.Sleep(40 * time.Minute)
			var wg sync.WaitGroup
			wg.Go(func() {
				req, _ := http.NewRequest("GET", "https://api.example.com/slow", nil)
				_, _ = send(tr, req)
			})
			time.Sleep(10 * time.Minute)
			mustGet(t, tr) // replaced early
			if closes {
				tr.Close()
			}
			wg.Wait()
			synctest.Wait()
			if !strings.Contains(log.String(), "lacks scope") || strings.Contains(log.String(), "hunter") {
				t.Error(log.String())
			}
		})
	}
}

// Guarantee 6: the refresh knows what the API said, although another request than the rejected one has begun it.
func TestG06_WhoeverBeginsTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		s.serve = func(req *http.Request) *http.Response {
			if s.accepts(req) {
				return nil
			}
			resp := refuse(req)
			resp.Body = slowly{resp.Body}
			return resp
		}
		tr := through(t, s)
		var messages []string
		tr.Trace = &transport.Trace{RefreshDone: func(e transport.RefreshDone) { messages = append(messages, e.Message) }}
		mustGet(t, tr)
		s.revoke()
		var wg sync.WaitGroup
		wg.Go(func() { mustGet(t, tr) })
		synctest.Wait() // it is rejected, and its answer is being read
		wg.Go(func() { mustGet(t, tr) })
		wg.Wait()
		synctest.Wait()
		if fmt.Sprint(messages) != "[ the token has expired]" {
			t.Errorf("messages %q", messages)
		}
	})
}

// slowly is a body that takes a second to come.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(500 * time.Millisecond)
	return s.Reader.Read(p)
}
func (slowly) Close() error { return nil }

// Guarantee 20: a request that has had its answer when Close comes gets it as it was, and none is replayed afterwards.
func TestG20_CloseAtEachStepOfAReplay(t *testing.T) {
	t.Run("while the 401 is read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tr := &transport.Transport{Provider: &stub{}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				resp := refuse(r)
				resp.Body = slowly{resp.Body}
				return resp, nil
			})}
			_, _ = tr.Token(t.Context())
			go func() { time.Sleep(250 * time.Millisecond); tr.Close() }()
			if status, err := get(tr, t.Context()); status != 401 || err != nil {
				t.Errorf("%d, %v", status, err)
			}
		})
	})
	t.Run("while the body is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			tr := &transport.Transport{Provider: &stub{}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent++
				go func() { time.Sleep(500 * time.Millisecond); r.Body.Close() }()
				return refuse(r), nil
			})}
			_, _ = tr.Token(t.Context())
			go func() { time.Sleep(250 * time.Millisecond); tr.Close() }()
			req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
			if status, err := send(tr, req); status != 401 || err != nil || sent != 1 {
				t.Errorf("%d, %v, sent %d times", status, err, sent)
			}
		})
	})
	t.Run("in a hook", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			tr := &transport.Transport{Provider: &stub{}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent++
				return refuse(r), nil
			})}
			tr.Trace = &transport.Trace{Replayed: func(transport.Replayed) { tr.Close() }}
			req, _ := http.NewRequest("POST", "https://api.example.com", strings.NewReader("x"))
			if status, err := send(tr, req); status != 401 || err != nil || sent != 1 {
				t.Errorf("%d, %v, sent %d times", status, err, sent)
			}
		})
	})
}
