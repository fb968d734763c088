package feeds_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// A roundTripper is a function that sends requests.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// An anonymous session sends no token, refreshes nothing whatever it is answered, and ends with
// Close.
func TestAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := false
		srv := &testserver.Server{Fault: func(*http.Request) testserver.Fault {
			if refuse {
				return testserver.Fault{Status: 401, Code: 40}
			}
			return testserver.Fault{}
		}}
		client := start(t, srv)
		client.Logger, client.Trace = nil, &transport.Trace{RefreshStart: func(transport.RefreshStart) { t.Error("a refresh") }}
		requests := 0
		client.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
			requests++
			if _, ok := req.Header["Authorization"]; ok || req.Header.Get("Stream-Auth-Type") != "anonymous" || req.URL.Query().Get("api_key") != testserver.DefaultKey {
				t.Errorf("%s %s: header %v", req.Method, req.URL, req.Header)
			}
			return srv.RoundTrip(req)
		})
		s, err := client.ConnectAnonymous(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.User().ID != "" {
			t.Errorf("user %+v", s.User())
		}
		if page, err := s.QueryActivities(t.Context(), nil); err != nil || len(page.Activities) != 0 {
			t.Errorf("%+v, %v", page, err)
		}
		req, err := http.NewRequest("GET", "/api/v2/app", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "mine")
		resp, err := s.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
		_, err = s.AddActivity(t.Context(), &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}})
		if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeNotAllowed || feeds.IsSessionOver(err) {
			t.Errorf("error %v", err)
		}
		refuse = true
		_, err = s.QueryActivities(t.Context(), nil)
		if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeTokenExpired || feeds.IsSessionOver(err) {
			t.Errorf("error %v", err)
		}
		if requests != 5 {
			t.Errorf("%d requests", requests)
		}
		s.Close()
		if _, err = s.QueryActivities(t.Context(), nil); !errors.Is(err, transport.ErrClosed) || !feeds.IsSessionOver(err) || requests != 5 {
			t.Errorf("error %v", err)
		}
	})
}

// A role that may not do what connecting tries is logged in all the same.
func TestPermissionIsNoLoginProblem(t *testing.T) {
	for name, connect := range map[string]func(context.Context, *feeds.Client, *testserver.Server) (*feeds.Session, error){
		"user": func(ctx context.Context, c *feeds.Client, srv *testserver.Server) (*feeds.Session, error) {
			return c.ConnectUser(ctx, feeds.User{ID: "alice"}, issuer(srv, "alice"))
		},
		"guest": func(ctx context.Context, c *feeds.Client, _ *testserver.Server) (*feeds.Session, error) {
			return c.ConnectGuest(ctx, feeds.User{ID: "alice"})
		},
		"anonymous": func(ctx context.Context, c *feeds.Client, _ *testserver.Server) (*feeds.Session, error) {
			return c.ConnectAnonymous(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &testserver.Server{Fault: func(req *http.Request) testserver.Fault {
					if isGuestCall(req) {
						return testserver.Fault{}
					}
					return testserver.Fault{Status: 403, Code: 17}
				}}
				s, err := connect(t.Context(), start(t, srv), srv)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				_, err = s.QueryActivities(t.Context(), nil)
				if e, ok := errors.AsType[*feeds.Error](err); !ok || e.Code != feeds.CodeNotAllowed || feeds.IsSessionOver(err) {
					t.Errorf("error %v", err)
				}
				if st := s.Stats(); st.Refreshed != 1 || st.Rejected != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// A token by hand and a developer token say what they are when they end.
func TestHardCodedTokensSayWhatTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{TTL: time.Minute, DisableAuthChecks: true}
		client := start(t, srv)
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, provider.Static(srv.Issue("alice")))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(2 * time.Minute)
		_, err = s.QueryActivities(t.Context(), nil)
		if want := "the hard-coded token has to be replaced and Static has no other"; !feeds.IsSessionOver(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}

		dev, err := client.ConnectUser(t.Context(), feeds.User{ID: "bob"}, provider.Static(provider.DevToken("bob")))
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		time.Sleep(1000 * time.Hour)
		if _, err := dev.QueryActivities(t.Context(), nil); err != nil {
			t.Error(err)
		}
		off := false
		if err := client.UpdateApp(t.Context(), &feeds.UpdateAppRequest{DisableAuthChecks: &off}); err != nil {
			t.Fatal(err)
		}
		_, err = dev.QueryActivities(t.Context(), nil)
		if want := "a developer token works only while the app has its authentication checks disabled"; err == nil || !strings.Contains(err.Error(), want) || feeds.IsSessionOver(err) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	})
}

// Connecting obeys its context whatever hangs: the token provider, the API, or the call for a
// guest.
func TestConnectingEndsWithItsContext(t *testing.T) {
	hangs := provider.Func(func(ctx context.Context) (string, error) {
		time.Sleep(20 * time.Second) // and does not obey its own
		return "", ctx.Err()
	})
	hang := roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			req.Body.Close()
		}
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	for name, connect := range map[string]func(context.Context, *feeds.Client) (*feeds.Session, error){
		"provider": func(ctx context.Context, c *feeds.Client) (*feeds.Session, error) {
			return c.ConnectUser(ctx, feeds.User{ID: "alice"}, hangs)
		},
		"user": func(ctx context.Context, c *feeds.Client) (*feeds.Session, error) {
			return c.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.Signer{Secret: provider.NewSecret("secret")}.For("alice"))
		},
		"guest": func(ctx context.Context, c *feeds.Client) (*feeds.Session, error) {
			return c.ConnectGuest(ctx, feeds.User{ID: "alice"})
		},
		"anonymous": func(ctx context.Context, c *feeds.Client) (*feeds.Session, error) { return c.ConnectAnonymous(ctx) },
		"server":    func(ctx context.Context, c *feeds.Client) (*feeds.Session, error) { return c.ConnectServer(ctx) },
		"a call": func(ctx context.Context, c *feeds.Client) (*feeds.Session, error) {
			_, err := c.GetApp(ctx)
			return nil, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				s, err := connect(ctx, backend("key", "secret", hang))
				if s != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
					t.Errorf("%v after %s", err, time.Since(began))
				}
				time.Sleep(time.Minute) // the provider's goroutine and the one that waits for it end too, or the bubble would not
			})
		})
	}
}

// With AllowHTTP a client may use plain http, for calls and for sockets; without it nothing leaves.
func TestAllowHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, &testserver.Server{})
		client := a.client()
		client.BaseURL = "http://testserver:8080"
		if _, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, &counter{srv: a.Server}); err == nil || !strings.Contains(err.Error(), "plain http") {
			t.Errorf("error %v", err)
		}
		client.AllowHTTP = true
		s, err := client.ConnectUser(t.Context(), feeds.User{ID: "alice"}, &counter{srv: a.Server})
		if err != nil {
			t.Fatal(err)
		}
		l := listen(t.Context(), s, nil, "user:alice")
		synctest.Wait()
		a.add(t, "one", "user:alice")
		synctest.Wait()
		if got := l.seen(); len(got) != 2 || got[1] != "one" || a.dialed()[0].hello.Token == "" {
			t.Errorf("events %q", got)
		}
		if _, err := client.GetApp(t.Context()); err != nil {
			t.Error(err)
		}
		guest, err := client.ConnectGuest(t.Context(), feeds.User{ID: "visitor"})
		if err != nil {
			t.Fatal(err)
		}
		guest.Close()
		anonymous, err := client.ConnectAnonymous(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		anonymous.Close()
		s.Close()
		<-l.done
	})
}

// A token provider that calls the API itself, and meets a rate limit there, has not met it for the
// call that waits for the token.
func TestAProvidersRateLimitIsNotTheCallsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &testserver.Server{}
		limited := false
		p := provider.Func(func(context.Context) (string, error) {
			if limited {
				return "", &feeds.Error{Code: feeds.CodeRateLimited, StatusCode: 429, RetryAt: time.Now().Add(time.Minute)}
			}
			return srv.Issue("alice"), nil
		})
		s, err := start(t, srv).ConnectUser(t.Context(), feeds.User{ID: "alice"}, p)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		limited = true
		srv.Revoke("alice")
		began := time.Now()
		_, err = s.QueryActivities(t.Context(), nil)
		if _, ok := errors.AsType[*transport.RefreshError](err); !ok || time.Since(began) > 31*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
