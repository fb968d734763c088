package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// options are what the command line says.
type options struct {
	addr, secret, session string
	ttl, latency          time.Duration

	key               string
	disableAuthChecks bool

	guard                bool
	upstream             *url.URL // nil: the guard's own small handler
	client, clientSecret string
	user                 string
	rotation             testserver.Rotation
	rotationRevokes      bool
	opaque               bool

	page     bool
	pageAddr string
	withDemo bool
}

// errSaid is a mistake that package flag has told already.
var errSaid = errors.New("a flag makes no sense")

var rotations = map[string]testserver.Rotation{
	"single-use": testserver.SingleUse, "grace": testserver.SingleUseWithGrace, "reusable": testserver.Reusable,
}

// parse reads the command line. It says itself what package flag finds wrong, and returns what else
// there is.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("testserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	flags.StringVar(&o.secret, "secret", testserver.DefaultSecret, "`secret` that signs the tokens")
	flags.StringVar(&o.session, "session", "", "session `secret` that POST /token wants, with -guard POST /oauth/token in JSON; empty: none")
	flags.DurationVar(&o.ttl, "ttl", testserver.DefaultTTL, "how long tokens live; negative: for ever")
	flags.DurationVar(&o.latency, "latency", 0, "how long every answer takes")

	flags.StringVar(&o.key, "key", testserver.DefaultKey, "API `key` that requests must name; not with -guard")
	flags.BoolVar(&o.disableAuthChecks, "disable-auth-checks", false, "accept developer tokens, and check no signature; not with -guard")

	flags.BoolVar(&o.guard, "guard", false, "be an OAuth 2.0 server in front of another API, not Stream's")
	upstream := flags.String("upstream", "", "with -guard: `URL` of the API to stand in front of; empty: a small one of its own")
	flags.StringVar(&o.client, "client", "", "with -guard: the one client `id` that is known; empty: any client will do")
	flags.StringVar(&o.clientSecret, "client-secret", "", "with -guard and -client: the client's `secret`; empty: it is a public client")
	flags.StringVar(&o.user, "user", "alice", "with -guard: the `user` who approves every login")
	rotation := flags.String("rotation", "single-use", "with -guard: what becomes of a used refresh token: single-use, grace, reusable")
	flags.BoolVar(&o.rotationRevokes, "rotation-revokes", false, "with -guard: a refresh ends the old access token at once")
	flags.BoolVar(&o.opaque, "opaque", false, "with -guard: tokens are random strings, not JWTs")

	flags.BoolVar(&o.page, "page", false, "show what happens, live, in a browser, with switches")
	flags.StringVar(&o.pageAddr, "page-addr", "127.0.0.1:8081", "with -page: `host:port` of the page; one that others can reach gets a key, which is printed")
	flags.BoolVar(&o.withDemo, "demo", false, "have clients of this module send requests, so that there is something to see; their tokens live for "+demoTTL.String()+" unless -ttl says otherwise")

	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errSaid
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.key == "" || o.secret == "":
		return o, errors.New("-key and -secret must not be empty")
	case o.latency < 0:
		return o, errors.New("-latency must not be negative")
	case o.user == "":
		return o, errors.New("-user must not be empty")
	case o.clientSecret != "" && o.client == "":
		return o, errors.New("-client-secret needs -client")
	}
	var known bool
	if o.rotation, known = rotations[*rotation]; !known {
		return o, fmt.Errorf("-rotation must be single-use, grace or reusable, not %q", *rotation)
	}
	if *upstream != "" {
		u, err := url.Parse(*upstream)
		// An error of package url would print the URL, and a password in it.
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return o, errors.New("-upstream must be a whole URL, such as http://127.0.0.1:9000")
		}
		o.upstream = u
	}
	if o.withDemo && o.upstream != nil {
		return o, errors.New("-demo would send its requests to the -upstream: use one of the two")
	}
	if o.withDemo && !given(flags, "ttl") {
		o.ttl = demoTTL
	}
	return o, o.misplaced(flags)
}

// given reports whether a flag is on the command line.
func given(flags *flag.FlagSet, name string) (found bool) {
	flags.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// misplaced returns an error for a flag that means nothing in the mode that the program is in.
func (o options) misplaced(flags *flag.FlagSet) (err error) {
	flags.Visit(func(f *flag.Flag) {
		switch guard := o.guard; {
		case !o.page && strings.HasPrefix(f.Usage, "with -page"):
			err = fmt.Errorf("-%s needs -page", f.Name)
		case guard && strings.HasSuffix(f.Usage, "not with -guard"):
			err = fmt.Errorf("-%s means nothing with -guard", f.Name)
		case !guard && strings.HasPrefix(f.Usage, "with -guard"):
			err = fmt.Errorf("-%s needs -guard", f.Name)
		}
	})
	return err
}

func (o options) fault(*http.Request) testserver.Fault { return testserver.Fault{Latency: o.latency} }
