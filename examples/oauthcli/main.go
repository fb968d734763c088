// Command oauthcli is a small tool that logs in at an OAuth 2.0 server and stays logged in. There
// is a server to try it on:
//
//	go run . demo &
//	go run . login -issuer http://127.0.0.1:8086 -client-id demo -api http://127.0.0.1:8086
//	go run . get /me
//	go run . logout
//
// The login is kept in a file of the user's own and shared by all copies of the tool that run at a
// time: when the access token ends, one of them gets the next for all, and a refresh token that
// rotates is never used twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/keychain"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/transport"
)

// The exit statuses.
const (
	exitOK        = frame.OK
	exitFailed    = frame.Failed
	exitUsage     = frame.Usage
	exitLoggedOut = 3 // there is no login, or it has ended
)

func main() {
	t := newTool(os.Stdout, os.Stderr)
	t.guard.Main(func(text string) { t.say("%s", text) }, func(ctx context.Context) int { return t.run(ctx, os.Args[1:]) })
}

// A command is one of the things that the tool can do. setup defines its flags and returns what it
// does with the arguments that are left after them.
type command struct {
	name, args, short, long string
	setup                   func(*tool, *flag.FlagSet) work
}

type work func(ctx context.Context, args []string) error

func commands() []command {
	return []command{loginCommand(), statusCommand(), tokenCommand(), getCommand(), logoutCommand(), demoCommand()}
}

// A tool is one run of one command.
type tool struct {
	stdout, stderr io.Writer
	store          filestore.Store
	sealed         keychain.Store         // store, with a key from the system's keychain
	seal           bool                   // use that
	browse         func(url string) error // opens a browser
	guard          frame.Guard
}

// kept is where the login is kept.
func (t *tool) kept() shared.Store {
	if t.seal {
		return &t.sealed
	}
	return &t.store
}

// app names the login's place, in the file system and in the keychain.
const app = "stayauth-oauthcli"

func newTool(stdout, stderr io.Writer) *tool {
	t := &tool{stdout: output{stdout}, stderr: stderr, store: filestore.Store{App: app}, browse: openBrowser}
	t.sealed = keychain.Store{Store: &t.store, App: app}
	return t
}

// run does what args say and returns the exit status.
func (t *tool) run(ctx context.Context, args []string) int { return t.report(t.dispatch(ctx, args)) }

func (t *tool) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usageError{"", "there is no command"}
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) == 0 {
			return t.overview()
		}
		name, args = args[0], []string{"-help"}
	}
	for _, c := range commands() {
		if c.name == name {
			return t.do(ctx, c, args)
		}
	}
	return usageError{"", fmt.Sprintf("there is no command %q", name)}
}

func (t *tool) do(ctx context.Context, c command, args []string) error {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // report says what is wrong
	flags.StringVar(&t.store.Dir, "state", "", "`folder` in which the login is kept, instead of the user's own")
	flags.BoolVar(&t.seal, "keychain", os.Getenv("OAUTHCLI_KEYCHAIN") != "",
		"seal the login with a key from the system's keychain; the same for every\ncommand, or set OAUTHCLI_KEYCHAIN=1")
	carryOut := c.setup(t, flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(t.stdout)
		_, err := fmt.Fprintf(t.stdout, "usage: oauthcli %s\n\n%s\n\n", strings.TrimSpace(c.name+" [flags] "+c.args), wrapped(c.long, 79))
		flags.PrintDefaults()
		return err
	case err != nil:
		return usageError{c.name, err.Error()}
	case flags.NArg() > 0 && c.args == "":
		// It is not repeated here: it may be a secret that came into the wrong place.
		return usageError{c.name, "it takes flags only, and there is something else on the command line"}
	case flags.NArg() != 1 && c.args != "":
		return usageError{c.name, "it takes one argument: " + c.args}
	}
	err := carryOut(ctx, flags.Args())
	if e, ok := errors.AsType[usageError](err); ok && e.command == "" {
		return usageError{c.name, e.text}
	}
	return err
}

// wrapped breaks the paragraphs of text into lines of at most width.
func wrapped(text string, width int) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString("\n\n")
		}
		line := 0
		for n, word := range strings.Fields(paragraph) {
			switch {
			case n == 0:
			case line+1+len(word) > width:
				b.WriteByte('\n')
				line = 0
			default:
				b.WriteByte(' ')
				line++
			}
			b.WriteString(word)
			line += len(word)
		}
	}
	return b.String()
}

func (t *tool) overview() error {
	var b strings.Builder
	b.WriteString("usage: oauthcli command [flags] [arguments]\n\nLogs in at an OAuth 2.0 server and stays logged in. Its commands:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.short)
	}
	b.WriteString("\n\"oauthcli help command\" tells more.\n\n" +
		"Exit status: 0 done, 1 failed, 2 wrong usage, 3 not logged in or the login has ended.\n")
	_, err := io.WriteString(t.stdout, b.String())
	return err
}

// A usageError is about the command line.
type usageError struct{ command, text string }

func (e usageError) Error() string { return e.text }

// errNotLoggedIn is what becomes of a command that needs a login where there is none.
var errNotLoggedIn = errors.New("there is no login")

// report says what went wrong, if anything did, and returns the exit status.
func (t *tool) report(err error) int {
	usage, wrong := errors.AsType[usageError](err)
	if e, ok := errors.AsType[*transport.RefreshError](err); ok {
		err = e.Err // what the token provider said: the rest is how often it was asked
	}
	switch {
	case err == nil:
		return exitOK
	case wrong:
		t.say("%s\nTry: %s", strings.TrimPrefix(usage.command+": "+usage.text, ": "), strings.TrimSpace("oauthcli help "+usage.command))
		return exitUsage
	case errors.Is(err, errNotLoggedIn):
		t.say("you are not logged in\nTry: oauthcli login")
		return exitLoggedOut
	case errors.Is(err, shared.ErrEnded):
		t.say("your login is over: %v\nTry: oauthcli login", err)
		return exitLoggedOut
	case errors.Is(err, keychain.ErrKeyLost):
		t.say("the login is sealed with a key that is not in the system's keychain any more: no one can open it\n" +
			"Try: oauthcli login -keychain, or oauthcli logout -keychain, which give it up")
	case errors.Is(err, context.Canceled):
		t.say("interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		t.say("%v: there was no answer within %v", err, callLimit)
	default:
		t.say("%v", err)
	}
	return exitFailed
}

// print writes what the command was asked for.
func (t *tool) print(format string, args ...any) error {
	_, err := fmt.Fprintf(t.stdout, format, args...)
	return err
}

// An output says in its errors that it could not be written, which the system's errors don't.
type output struct{ w io.Writer }

func (o output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		err = fmt.Errorf("the output can't be written: %w", err)
	}
	return n, err
}

// say writes to the person at the terminal.
func (t *tool) say(format string, args ...any) {
	fmt.Fprintf(t.stderr, "oauthcli: %s\n", printable(fmt.Sprintf(format, args...)))
}

// printable returns s without what could command a terminal: much of what is said here comes from a
// server.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && !(0x80 <= r && r < 0xa0) {
			return r
		}
		return '?'
	}, s)
}

// callLimit is how long one step may take in which the tool waits for a server.
const callLimit = time.Minute

func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callLimit)
}
