package transport_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// A night is a Transport whose Logger, at Info, writes into log, in front of an API whose tokens
// live for an hour.
type night struct {
	*testing.T
	*transport.Transport
	stub *stub
	log  *bytes.Buffer // slog's handler locks it, and nothing is written while the bubble is at rest
	wait sync.WaitGroup
}

// newNight returns one, at 03:12. Its lines leave out the day, and the stack of a panic. The token
// provider takes a tenth of a second, in which all that come at the same time begin to wait.
func newNight(t *testing.T) *night {
	time.Sleep(3*time.Hour + 12*time.Minute)
	n := &night{T: t, stub: &stub{life: time.Hour, delay: 100 * time.Millisecond}, log: new(bytes.Buffer)}
	handler := slog.NewTextHandler(n.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			return slog.String("time", a.Value.Time().UTC().Format("15:04:05.000"))
		case "stack":
			if !strings.Contains(a.Value.String(), "goroutine ") {
				t.Error("no stack")
			}
			return slog.Attr{}
		}
		return a
	}})
	n.Transport = &transport.Transport{Provider: n.stub, Base: n.stub, Logger: slog.New(handler)}
	return n
}

// get sends requests for d, one each second, without waiting for their answers, and then waits for
// all.
func (n *night) get(path string, d time.Duration) {
	for began := time.Now(); ; time.Sleep(time.Second) {
		n.wait.Go(func() {
			req, _ := http.NewRequest("GET", "https://api.example.com"+path, nil)
			_, _ = send(n.Transport, req)
		})
		if time.Since(began) >= d {
			break
		}
		if time.Since(began) == 0 {
			time.Sleep(300 * time.Millisecond) // so that no request comes together with the end of something
		}
	}
	n.wait.Wait()
}

// down has the provider fail with err, for d.
func (n *night) down(err error, d time.Duration) {
	until := time.Now().Add(d)
	n.stub.mint = func(int) (provider.Token, error) {
		if time.Now().Before(until) {
			return provider.Token{}, err
		}
		return provider.Token{}, nil
	}
}

var errDown = errors.New("connection refused")

// nights are the situations in LOG.md.
var nights = []struct {
	name string
	run  func(*night)
}{
	{"All is well", func(n *night) {
		n.get("/feeds", 24*time.Hour)
	}},
	{"A stall", func(n *night) {
		n.stub.delay = 5500 * time.Millisecond
		n.get("/feeds", 3*time.Second)
	}},
	{"A shorter stall", func(n *night) {
		n.stub.delay = 3 * time.Second
		n.get("/feeds", 2*time.Second)
	}},
	{"A stall that some requests do not wait for", func(n *night) {
		n.stub.delay = 8 * time.Second
		ctx, cancel := context.WithTimeout(n.Context(), 2*time.Second)
		defer cancel()
		_, _ = get(n.Transport, ctx)
		time.Sleep(10 * time.Second)
	}},
	{"An outage of the token provider", func(n *night) {
		n.get("/feeds", 0)
		time.Sleep(time.Hour)
		n.down(provider.NoRetry(errDown), 5*time.Minute)
		n.get("/feeds", 6*time.Minute)
	}},
	{"A token provider that does not return", func(n *night) {
		n.stub.delay = 100 * time.Second
		n.Provider = tokenFunc(func(_ context.Context, old provider.Token) (provider.Token, error) {
			return n.stub.Token(context.Background(), old)
		})
		n.get("/feeds", 2*time.Minute)
	}},
	{"A token provider that asks for a pause", func(n *night) {
		n.down(provider.RetryAfter(errors.New("busy"), time.Hour), time.Minute)
		n.get("/feeds", time.Hour)
	}},
	{"An outage while the token is valid", func(n *night) {
		n.stub.life = 10 * time.Minute
		n.get("/feeds", 0)
		n.down(errDown, 9*time.Minute)
		time.Sleep(8 * time.Minute)
		n.get("/feeds", 4*time.Minute)
	}},
	{"A revocation", func(n *night) {
		n.get("/feeds", 0)
		n.stub.revoke()
		n.stub.delay = 200 * time.Millisecond
		n.get("/feeds", 2*time.Second)
	}},
	{"A storm of dead tokens", func(n *night) {
		n.stub.serve = func(req *http.Request) *http.Response { return reject(req) }
		n.get("/feeds", 5*time.Minute)
		n.stub.serve = nil
		n.get("/feeds", time.Minute)
		time.Sleep(time.Hour)
		n.get("/feeds", time.Minute)
	}},
	{"The rejected token again", func(n *night) {
		n.get("/feeds", 0)
		tok, _ := n.Token(n.Context())
		n.stub.mint = func(i int) (provider.Token, error) {
			if i == 2 {
				return tok, nil
			}
			return provider.Token{}, nil
		}
		n.stub.revoke()
		n.get("/feeds", 0)
	}},
	{"An origin that was left out", func(n *night) {
		n.Origins = []string{"https://api.example.org"}
		n.get("/feeds", 5*time.Minute)
	}},
	{"A 401 that IsRejected does not know", func(n *night) {
		n.stub.serve = func(req *http.Request) *http.Response { return respond(req, 401, `{"message":"who are you?"}`) }
		n.get("/feeds", 5*time.Minute)
	}},
	{"A session that ended", func(n *night) {
		n.get("/feeds", 0)
		n.stub.revoke()
		n.down(provider.Permanent(errors.New("the account was deleted")), 24*time.Hour)
		n.get("/feeds", 5*time.Minute)
	}},
	{"A session that will end", func(n *night) {
		n.get("/feeds", 0)
		n.down(provider.Permanent(errors.New("the account was deleted")), 24*time.Hour)
		time.Sleep(50 * time.Minute)
		n.get("/feeds", 10*time.Minute)
	}},
	{"A new login after the end", func(n *night) {
		n.down(provider.Permanent(errors.New("the account was deleted")), 24*time.Hour)
		n.get("/feeds", time.Second)
		if err := n.SetToken(n.stub.issue("new")); err != nil {
			n.Error(err)
		}
		n.get("/feeds", 0)
	}},
	{"A machine that slept", func(n *night) {
		n.get("/feeds", 0)
		transport.Suspend(n.Transport, 8*time.Hour)
		n.get("/feeds", 0)
	}},
	{"A clock that was set back", func(n *night) {
		n.get("/feeds", 0)
		transport.Suspend(n.Transport, -2*time.Hour)
		n.get("/feeds", 0)
	}},
	{"A full queue", func(n *night) {
		n.stub.delay = 500 * time.Millisecond
		n.MaxWaiting = 1
		n.wait.Go(func() { _, _ = get(n.Transport, n.Context()) })
		synctest.Wait()
		for range 9 {
			_, _ = get(n.Transport, n.Context())
		}
		n.wait.Wait()
	}},
	{"An upload that can't be replayed", func(n *night) {
		n.KeepBody = -1
		n.get("/feeds", 0)
		n.stub.revoke()
		for range 2 {
			req, _ := http.NewRequest("POST", "https://api.example.com/files", io.MultiReader(strings.NewReader("x")))
			_, _ = send(n.Transport, req)
		}
	}},
	{"A token provider that panics", func(n *night) {
		n.stub.mint = func(i int) (provider.Token, error) {
			if i < 3 {
				panic("index out of range")
			}
			return provider.Token{}, nil
		}
		n.get("/feeds", 3*time.Second)
	}},
	{"Close in an outage", func(n *night) {
		n.down(provider.NoRetry(errDown), time.Hour)
		n.get("/feeds", 10*time.Second)
		n.Close()
	}},
}

var update = flag.Bool("update", false, "write the lines that the log gets into LOG.md")

// With a Logger at Info and nothing else an operator can tell what happened: LOG.md shows the lines
// to the letter, for each situation under a heading of its own.
func TestLog(t *testing.T) {
	file, err := os.ReadFile("LOG.md")
	if err != nil {
		t.Fatal(err)
	}
	intro, rest, _ := strings.Cut(string(file), "\n## ")
	sections := strings.Split(rest, "\n## ")
	if len(sections) != len(nights) {
		t.Fatalf("LOG.md has %d situations, and this test %d", len(sections), len(nights))
	}
	for i, tt := range nights {
		title, text, _ := strings.Cut(sections[i], "\n")
		text, shown, _ := strings.Cut(text, "```text\n")
		shown, after, _ := strings.Cut(shown, "```\n")
		t.Run(tt.name, func(t *testing.T) {
			if title != tt.name {
				t.Fatalf("LOG.md has %q here", title)
			}
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t)
				defer n.Close()
				tt.run(n)
				synctest.Wait()
				if got := n.log.String(); got != shown {
					t.Errorf("the log is\n%s\nand LOG.md has\n%s", got, shown)
					shown = got
				}
			})
		})
		if shown != "" {
			text += "```text\n" + shown + "```\n"
		}
		sections[i] = title + "\n" + text + after
	}
	if *update {
		if err := os.WriteFile("LOG.md", []byte(intro+"\n## "+strings.Join(sections, "\n## ")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
