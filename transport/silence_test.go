package transport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A day of trouble is some fifty lines, whatever the traffic, and the last of them is its end.
func TestADayOfTroubleIsFiftyLines(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		name       string
		run        func(*night)
		begin, end string
	}{
		{"an outage", func(n *night) {
			n.down(errDown, day) // temporary: each refresh asks again, for half a minute
			n.get("/feeds", day+time.Minute)
		}, "the token provider fails", "the token provider works again"},
		{"an outage, said at once", func(n *night) {
			n.down(provider.NoRetry(errDown), day)
			n.get("/feeds", day+time.Minute)
		}, "the token provider fails", "the token provider works again"},
		{"a provider that panics", func(n *night) {
			until := time.Now().Add(day)
			n.stub.mint = func(int) (provider.Token, error) {
				if time.Now().Before(until) {
					panic("index out of range")
				}
				return provider.Token{}, nil
			}
			n.get("/feeds", day+time.Minute)
		}, "the token provider panicked", "the token provider works again"},
		{"a storm", func(n *night) {
			n.stub.serve = func(req *http.Request) *http.Response { return reject(req) }
			n.get("/feeds", day)
			n.stub.serve = nil
			n.stub.revoke()
			n.get("/feeds", time.Minute)
			n.stub.revoke()
			n.get("/feeds", 0)
		}, "the API rejected the token", "new tokens are no longer rejected"},
		{"a session that is over", func(n *night) {
			n.down(provider.Permanent(errDown), day)
			n.get("/feeds", day)
			_ = n.SetToken(n.stub.issue("new"))
		}, "the session has ended", "a token was handed over: requests go on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.name != "an outage" {
				t.Skip("an outage is enough")
			}
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t)
				defer n.Close()
				tt.run(n)
				synctest.Wait()
				lines := strings.Split(strings.TrimSpace(n.log.String()), "\n")
				last := lines[len(lines)-1]
				if tt.name == "a storm" { // it ends by a replay that is accepted, and then there is the news of that
					for i, line := range lines {
						if strings.Contains(line, tt.end) {
							last = lines[i]
						}
					}
				}
				if len(lines) < 50 || len(lines) > 130 || !strings.Contains(lines[0], tt.begin) || !strings.Contains(last, tt.end) {
					t.Errorf("%d lines, from\n%s\nto\n%s", len(lines), lines[0], last)
				}
			})
		})
	}
}

// However random the pauses of the provider's retries are, an outage of five minutes is told in the
// same lines.
func TestAnOutageIsToldInOrder(t *testing.T) {
	want := []string{"WARN the token provider fails", "WARN the token provider still fails", "WARN the token provider still fails",
		"WARN the token provider still fails", "INFO the token provider works again"}
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			n := newNight(t)
			defer n.Close()
			n.down(errDown, 5*time.Minute)
			for began := time.Now(); time.Since(began) < 6*time.Minute; time.Sleep(rand.N(time.Second)) {
				n.wait.Go(func() { _, _ = get(n.Transport, n.Context()) })
			}
			n.wait.Wait()
			synctest.Wait()
			var got []string
			for line := range strings.Lines(n.log.String()) {
				_, line, _ = strings.Cut(line, "level=")
				level, line, _ := strings.Cut(line, ` msg="stayauth: `)
				message, _, _ := strings.Cut(line, `"`)
				got = append(got, level+" "+message)
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("the log is\n%s", n.log.String())
			}
		})
	}
}

// After a pause with nothing to tell, what repeats is told as at first: at once, and again after 30
// s.
func TestWhatRepeatsIsToldAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		defer n.Close()
		n.Origins = []string{"https://api.example.org"}
		count := func() int {
			synctest.Wait()
			return strings.Count(n.log.String(), "\n")
		}
		n.get("/feeds", 5*time.Minute)
		before := count() // at once, after 30 s, 90 s and 210 s
		time.Sleep(24 * time.Hour)
		n.get("/feeds", time.Minute)
		if after := count(); before != 4 || after != 6 {
			t.Errorf("%d lines, and then %d", before, after)
		}
	})
}

// Durations have their unit in JSON as well, and each line has the time of what it tells of,
// however long a hook before it takes.
func TestLogInJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &stub{delay: 7 * time.Second}
		tr := through(t, s)
		tr.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		tr.Trace = &transport.Trace{RefreshStart: func(transport.RefreshStart) { time.Sleep(time.Minute) }}
		began := time.Now()
		mustGet(t, tr)
		time.Sleep(time.Hour)
		synctest.Wait()
		var first, second map[string]any
		d := json.NewDecoder(&log)
		if err := errors.Join(d.Decode(&first), d.Decode(&second)); err != nil {
			t.Fatal(err)
		}
		at := began.Add(5 * time.Second).Format(time.RFC3339Nano)
		if first["waited"] != "5s" || first["called_ago"] != "5s" || first["time"] != at || second["took"] != "7s" {
			t.Errorf("%v\n%v", first, second)
		}
	})
}

// Without a Logger the two mistakes that nothing else shows go to slog.Default, once for each
// Transport; a DiscardHandler silences it.
func TestWithoutALogger(t *testing.T) {
	bare := func(req *http.Request) *http.Response { return respond(req, 401, "who are you?") }
	tests := []struct {
		name  string
		serve func(*http.Request) *http.Response
		set   func(*transport.Transport)
		want  string // in the one line that there is; "": there is none
	}{
		{"a bare 401", bare, func(*transport.Transport) {}, `set IsRejected: transport.Any401`},
		{"a bare 401, discarded", bare, func(tr *transport.Transport) { tr.Logger = slog.New(slog.DiscardHandler) }, ""},
		{"a bare 401 where IsRejected is set", bare, func(tr *transport.Transport) { tr.IsRejected = transport.BodyCode("code", 40) }, ""},
		{"a 401 with a challenge", func(req *http.Request) *http.Response {
			resp := bare(req)
			resp.Header.Set("WWW-Authenticate", `Basic realm="api"`)
			return resp
		}, func(*transport.Transport) {}, ""},
		{"an origin left out", nil, func(tr *transport.Transport) { tr.Origins = []string{"https://api.example.org"} },
			`origin=https://api.example.com origins=[https://api.example.org] so_far=1`},
		{"an origin left out, discarded", nil, func(tr *transport.Transport) {
			tr.Origins, tr.Logger = []string{"https://api.example.org"}, slog.New(slog.DiscardHandler)
		}, ""},
		{"an origin left out on purpose", nil, func(tr *transport.Transport) {
			tr.Origins = []string{"https://api.example.org"}
			req, _ := http.NewRequest("GET", "https://api.example.org/", nil)
			_, _ = send(tr, req) // the list matches what it is for
		}, ""},
		{"all is well", nil, func(*transport.Transport) {}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // once for each Transport
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					before := slog.Default()
					slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
					defer slog.SetDefault(before)
					s := &stub{serve: tt.serve}
					tr := through(t, s)
					tt.set(tr)
					var wg sync.WaitGroup
					for range 100 {
						wg.Go(func() { _, _ = get(tr, t.Context()) })
					}
					wg.Wait()
					time.Sleep(24 * time.Hour)
					_, _ = get(tr, t.Context())
					out := log.String()
					if lines := strings.Count(out, "\n"); tt.want == "" && lines != 0 ||
						tt.want != "" && (lines != 1 || !strings.Contains(out, tt.want) || !strings.Contains(out, `level=WARN msg="stayauth: `)) {
						t.Errorf("%d lines:\n%s", lines, out)
					}
				})
			}
		})
	}
}

// A rejected upload that can't be replayed is logged once in a while, and counted each time.
func TestOneShotUploadsWarnOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &stub{}
		tr := through(t, s)
		tr.KeepBody = -1
		tr.Logger = slog.New(slog.NewTextHandler(&log, nil))
		for range 1000 {
			s.revoke()
			req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
			_, _ = send(tr, req)
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "can't be replayed"); n != 2 {
			t.Errorf("%d warnings in 50 s", n)
		}
		if n := tr.Stats().NotReplayable; n < 100 {
			t.Errorf("%d counted", n)
		}
	})
}
