package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// maxSecret bounds what is read of a secret, in bytes: more is the wrong file.
const maxSecret = 64 << 10

// secret reads a secret from the file, with "-" for standard input, or else from the environment
// variable. ok is false if there is neither. A secret is never an argument: the machine's other
// users can see those, and the shell remembers them.
func (t *tool) secret(ctx context.Context, file, variable string) (secret string, ok bool, err error) {
	var data []byte
	switch {
	case file == "-":
		data, err = reading(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(t.stdin, maxSecret+1)) })
	case file != "":
		data, err = reading(ctx, func() ([]byte, error) { return readFile(file) }) // which may be a pipe
	default:
		secret, ok = os.LookupEnv(variable)
		return secret, ok && secret != "", nil
	}
	if file == "-" {
		file = "standard input"
	}
	secret = strings.TrimRight(string(data), "\r\n")
	switch {
	case err != nil:
		return "", false, fmt.Errorf("reading the secret: %w", err)
	case len(data) > maxSecret:
		return "", false, fmt.Errorf("%s has more than 64 KiB: that is no secret", file)
	case secret == "":
		return "", false, fmt.Errorf("there is no secret in %s: it is empty", file)
	}
	return secret, true, nil
}

// reading returns what read returns, or ctx's error if that ends first: a pipe may never have an end.
func reading(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type input struct {
		data []byte
		err  error
	}
	done := make(chan input, 1)
	go func() { // ends with the input, or with the process
		data, err := read()
		done <- input{data, err}
	}()
	select {
	case in := <-done:
		return in.data, in.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSecret+1))
}

// prompt asks the person at the terminal for a secret and shows nothing of it. ok is false where
// no one can be asked: standard input is no terminal, or there is no stty, as on Windows.
func (t *tool) prompt(ctx context.Context, question string) (secret string, ok bool, err error) {
	terminal, isFile := t.stdin.(*os.File)
	if !isFile || !isTerminal(terminal) {
		return "", false, nil
	}
	// Before the echo goes it is certain to come back.
	show := func() { _ = stty(terminal, "echo") }
	t.guard.Restore.Store(&show)
	stop := whileHidden(show, func() {
		_ = stty(terminal, "-echo")
		fmt.Fprint(t.stderr, question)
	})
	defer func() {
		stop()
		show()
		t.guard.Restore.Store(nil)
	}()
	if stty(terminal, "-echo") != nil {
		return "", false, nil
	}
	fmt.Fprint(t.stderr, question)
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() { // ends with a line, or with the process
		text, err := bufio.NewReader(terminal).ReadString('\n')
		typed <- line{strings.TrimRight(text, "\r\n"), err}
	}()
	defer fmt.Fprintln(t.stderr) // the end of the line was not shown either
	select {
	case l := <-typed:
		if l.err != nil && !errors.Is(l.err, io.EOF) {
			return "", false, l.err
		}
		return l.text, true, nil
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
}

func stty(terminal *os.File, setting string) error {
	cmd := exec.Command("stty", setting)
	cmd.Stdin = terminal
	return cmd.Run()
}

// isTerminal reports whether f may be a terminal. It is also true of /dev/null, which stty then
// refuses.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
