// Package frame is what the examples have in common as programs: how they begin and end, read their
// command lines, and react to signals.
//
// A program is a function run(ctx, args, ...) that returns its exit status, so that tests can run
// it.
package frame

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses.
const (
	OK     = 0
	Failed = 1 // it could not do what it was asked for
	Usage  = 2 // what it was asked for makes no sense
)

// Main runs a program and exits with its status. Its context ends with the first Ctrl-C, SIGTERM or
// SIGHUP, which a closed terminal sends; a second one ends the process at once. A program that keeps a
// login has a [Guard] instead.
func Main(run func(ctx context.Context) (status int)) {
	ctx, stop := signal.NotifyContext(context.Background(), Signals()...)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx))
}

// Signals returns the signals that ask a program to end. Where it was started by nohup, a closed
// terminal does not.
func Signals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// A Program is the command line of a program, and its way to tell what is wrong.
type Program struct {
	*flag.FlagSet
	name   string
	stderr io.Writer
}

// New returns the program of that name, without flags.
func New(name string, stderr io.Writer) *Program {
	p := &Program{flag.NewFlagSet(name, flag.ContinueOnError), name, stderr}
	p.SetOutput(stderr)
	return p
}

// Parse reads the command line: flags, and so many arguments after them, which what says for
// people. If done is true the program has to end with the status: it was asked for help, which
// Parse has given, or for what makes no sense, which Parse has said.
func (p *Program) Parse(args []string, arguments int, what string) (status int, done bool) {
	switch err := p.FlagSet.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return OK, true
	case err != nil:
		return Usage, true
	case p.NArg() > arguments && arguments == 0:
		return p.Fail(Usage, "unexpected argument %q", p.Arg(0)), true
	case p.NArg() != arguments:
		return p.Fail(Usage, "%s", what), true
	}
	return OK, false
}

// Fail says what is wrong and returns the status.
func (p *Program) Fail(status int, format string, a ...any) int {
	fmt.Fprintf(p.stderr, p.name+": "+format+"\n", a...)
	return status
}
