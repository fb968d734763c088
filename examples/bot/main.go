// Bot follows people and answers what they post, for weeks on end. Its tokens expire and are
// revoked, its connection breaks, the API restarts: no comment is answered twice, and none waits
// much longer than the trouble lasts.
//
// Start the test server, with tokens that live for 5 s, and then the bot:
//
//	go run ./examples/testserver -ttl 5s
//	go run ./examples/bot
//
// Say something as alice, whom it follows. Her tokens are the business of examples/proxy:
//
//	go run ./examples/proxy -rejected code40 -token-url http://127.0.0.1:8080/token -user alice http://127.0.0.1:8080
//	curl 'http://127.0.0.1:8090/api/v2/feeds/activities?api_key=stayauth-key' \
//		-H 'Content-Type: application/json' -d '{"type":"post","feeds":["user:alice"],"text":"Hello"}'
//
// Then stop the test server, start it again, and say something else. The server has forgotten
// everyone; the bot logs in anew and follows alice again once she is back. Ctrl-C ends it.
//
// The real thing takes an API key, and the token endpoint of your backend (see examples/backend),
// whose session secret is in TOKEN_SESSION:
//
//	TOKEN_SESSION=... go run ./examples/bot -url https://feeds.stream-io-api.com -key KEY \
//		-token-url https://app.example.com/token -user bot -follow user:alice -follow user:bob
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

func main() {
	frame.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stderr) })
}

// run runs the bot until ctx is done, and returns the exit status: 1 if the bot had to give up, 2
// if args make no sense.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	b := &bot{client: &feeds.Client{Logger: log, Trace: trace(log)}, reply: reply, log: log}
	tokens := provider.HTTP{Session: provider.NewSecret(os.Getenv("TOKEN_SESSION"))} // a secret: flags are seen by everyone on the machine

	flags := frame.New("bot", stderr)
	flags.StringVar(&b.client.BaseURL, "url", "http://127.0.0.1:8080", "the API's `URL`")
	flags.StringVar(&b.client.Key, "key", "stayauth-key", "API `key`")
	flags.StringVar(&tokens.URL, "token-url", "http://127.0.0.1:8080/token", "`URL` of the endpoint that the tokens come from")
	flags.StringVar(&b.user.ID, "user", "bot", "`id` of the user that the bot is")
	flags.Func("follow", "feed to follow, as `group:id`; may be repeated (default user:alice)", func(fid string) error {
		if group, id, ok := strings.Cut(fid, ":"); !ok || group == "" || id == "" {
			return errors.New("it is not of the form group:id")
		}
		b.follow = append(b.follow, fid)
		return nil
	})
	if status, done := flags.Parse(args, 0, ""); done {
		return status
	}
	switch {
	case b.client.Key == "" || b.user.ID == "":
		return flags.Fail(frame.Usage, "-key and -user must not be empty")
	case !usable(b.client.BaseURL):
		return flags.Fail(frame.Usage, "-url must be of the form https://host, or http://host for this machine: anyone who reads a token can be the bot")
	}
	if b.follow == nil {
		b.follow = []string{"user:alice"}
	}
	tokens.UserID = b.user.ID
	b.tokens = tokens

	err := b.run(ctx)
	log.Info("stopped", "answered", b.answered, "logins", b.logins)
	if err != nil {
		return flags.Fail(frame.Failed, "%v", err)
	}
	return frame.OK
}

// usable reports whether package feeds will take the URL. What it refuses must not be tried for
// ever.
func usable(baseURL string) bool {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && frame.IsLoopback(u.Hostname())
}

// trace shows the tokens that come and go unnoticed. The transport's own log begins where there is
// trouble.
func trace(log *slog.Logger) *transport.Trace {
	return &transport.Trace{RefreshDone: func(e transport.RefreshDone) {
		if e.Err == nil && e.Reason != transport.ReasonRejected {
			log.Info("new token", "reason", e.Reason, "expires", e.Expiry.Format(time.TimeOnly))
		}
	}}
}

// reply is what the bot has to say about an activity; "" is nothing. Put yours here.
func reply(a *feeds.Activity) string {
	if a.Text == "" {
		return ""
	}
	return fmt.Sprintf("Hello %s, you said %q.", a.User.ID, a.Text)
}
