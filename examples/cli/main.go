// Command cli is a small tool for feeds that stays logged in: log in once, and post the next day
// without being asked.
//
//	go run ./examples/testserver
//	go run ./examples/cli login -user alice -key stayauth-key -base http://127.0.0.1:8080 -token-url http://127.0.0.1:8080/token
//	go run ./examples/cli post Hello
//	go run ./examples/cli tail
//	STREAM_API_SECRET=stayauth-secret go run ./examples/cli revoke -user alice
//
// The login is kept by package filestore and shared by all copies of the tool that run at a time:
// when the token ends, one of them gets the next for all. Logging out in one terminal logs out the
// others.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/stayauth/stayauth/examples/internal/frame"
	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/transport"
)

// The exit statuses.
const (
	exitOK        = frame.OK
	exitFailed    = frame.Failed
	exitUsage     = frame.Usage
	exitLoggedOut = 3 // no one is logged in, or the session is over
)

func main() {
	t := newTool(os.Stdin, os.Stdout, os.Stderr)
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
	return []command{loginCommand(), whoamiCommand(), postCommand(), listCommand(), tailCommand(), logoutCommand(), tokenCommand(),
		revokeCommand(), authChecksCommand()}
}

// A tool is one run of one command.
type tool struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool // print JSON, one object a line
	waits          bool // for a server that is away, as no one waits for the command's end
	store          filestore.Store
	guard          frame.Guard
}

func newTool(stdin io.Reader, stdout, stderr io.Writer) *tool {
	return &tool{stdin: stdin, stdout: stdout, stderr: &lockedWriter{w: stderr}, store: filestore.Store{App: "stayauth-cli"}}
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
	flags.BoolVar(&t.json, "json", false, "print JSON, one object a line")
	flags.StringVar(&t.store.Dir, "state", "", "`folder` in which the login is kept, instead of the user's own for such things")
	carryOut := c.setup(t, flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(t.stdout)
		_, err := fmt.Fprintf(t.stdout, "usage: cli %s\n\n%s\n\n", strings.TrimSpace(c.name+" [flags] "+c.args), c.long)
		flags.PrintDefaults()
		return err
	case err != nil:
		return usageError{c.name, err.Error()}
	case flags.NArg() > 0 && c.args == "":
		// It is not repeated here: it may be a secret that somebody put in the wrong place.
		return usageError{c.name, "it takes flags only, and there is something else on the command line"}
	}
	err := carryOut(ctx, flags.Args())
	if e, ok := errors.AsType[usageError](err); ok && e.command == "" {
		return usageError{c.name, e.text}
	}
	return err
}

func (t *tool) overview() error {
	var b strings.Builder
	b.WriteString("usage: cli command [flags] [arguments]\n\nA small tool for feeds that stays logged in. Its commands:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-11s %s\n", c.name, c.short)
	}
	b.WriteString("\n\"cli help command\" tells more. All take -json.\n\n" +
		"Exit status: 0 done, 1 failed, 2 wrong usage, 3 not logged in or the session is over.\n")
	_, err := io.WriteString(t.stdout, b.String())
	return err
}

// A usageError is about the command line.
type usageError struct{ command, text string }

func (e usageError) Error() string { return e.text }

// errNotLoggedIn is what becomes of a command that needs a login where there is none.
var errNotLoggedIn = errors.New("no one is logged in")

// report says what went wrong, if anything did, and returns the exit status.
func (t *tool) report(err error) int {
	usage, wrong := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return exitOK
	case wrong:
		t.say("%s\nTry: %s", strings.TrimPrefix(usage.command+": "+usage.text, ": "), strings.TrimSpace("cli help "+usage.command))
		return exitUsage
	case errors.Is(err, errNotLoggedIn):
		t.say("you are not logged in\nTry: cli login")
		return exitLoggedOut
	case errors.Is(err, shared.ErrEnded), feeds.IsSessionOver(err):
		if e, ok := errors.AsType[*transport.RefreshError](err); ok {
			err = e.Err
		}
		t.say("your session is over: %v\nTry: cli login", err)
		return exitLoggedOut
	case errors.Is(err, context.Canceled):
		t.say("interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		t.say("%v: there was no answer within %v", err, callLimit)
	default:
		if e, ok := errors.AsType[*transport.RefreshError](err); ok {
			err = e.Err // what the person has to know
		}
		t.say("%v", err)
	}
	return exitFailed
}

// say writes to the person at the terminal, who knows flags and not the fields that the libraries
// speak of.
func (t *tool) say(format string, args ...any) {
	flags := strings.NewReplacer("HTTP.URL", "-token-url", "Client.Key", "-key", "Client.BaseURL", "-base")
	fmt.Fprintf(t.stderr, "cli: %s\n", printable(flags.Replace(fmt.Sprintf(format, args...)), true))
}

// callLimit is how long one step may take in which the tool waits for a server.
const callLimit = time.Minute

func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callLimit)
}

// A lockedWriter lets the session's hooks write at the same time as the command.
type lockedWriter struct {
	mu sync.Mutex // held for one write
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
