package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stayauth/stayauth/testserver"
)

// A terminal is a pseudo-terminal: what a person types goes into master, and what they see comes
// out of it. slave is what the tool has.
type terminal struct {
	t             *testing.T
	master, slave *os.File
	seen          bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	var unlock, number int32
	ioctl := func(request uintptr, value *int32) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	ioctl(syscall.TIOCSPTLCK, &unlock)
	ioctl(syscall.TIOCGPTN, &number)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return &terminal{t: t, master: master, slave: slave}
}

// start runs the tool at the terminal.
func (p *terminal) start(d *desk, line ...string) *exec.Cmd { return p.run(d, nil, line...) }

// run runs the tool at the terminal, below another program if there is one.
func (p *terminal) run(d *desk, above []string, line ...string) *exec.Cmd {
	p.t.Helper()
	words := slices.Concat(above, []string{os.Args[0]}, d.args(line))
	cmd := exec.CommandContext(p.t.Context(), words[0], words[1:]...)
	cmd.Env = append(os.Environ(), asTool+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return cmd
}

// await reads until text has been seen.
func (p *terminal) await(text string) {
	p.t.Helper()
	buf := make([]byte, 1024)
	for !strings.Contains(p.seen.String(), text) {
		n, err := p.master.Read(buf)
		if err != nil {
			p.t.Fatalf("the terminal shows %q, and then %v; want %q", p.seen.String(), err, text)
		}
		p.seen.Write(buf[:n])
	}
	_, rest, _ := strings.Cut(p.seen.String(), text)
	p.seen.Reset()
	p.seen.WriteString(rest)
}

func (p *terminal) press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// echo reports whether the terminal shows what is typed.
func (p *terminal) echo() bool {
	p.t.Helper()
	var state syscall.Termios
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, p.slave.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state))); errno != 0 {
		p.t.Fatal(errno)
	}
	return state.Lflag&syscall.ECHO != 0
}

const (
	ctrlC         = "\x03"
	ctrlD         = "\x04"
	ctrlZ         = "\x1a"
	ctrlBackslash = "\x1c"
)

// TestEchoComesBack: whatever a person presses at the prompt for a secret, the terminal shows
// afterwards again what they type.
func TestEchoComesBack(t *testing.T) {
	if _, err := exec.LookPath("stty"); err != nil {
		t.Skip("there is no stty")
	}
	for name, keys := range map[string]string{"a secret": session + "\n", "Ctrl-C": ctrlC, "Ctrl-D": ctrlD, `Ctrl-\`: ctrlBackslash} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, &testserver.Server{Session: session})
			p := newTerminal(t)
			cmd := p.start(d, "login", "-user", "alice", "-key", testserver.DefaultKey, "-base", d.url, "-token-url", d.url+"/token")
			p.await("Session secret of alice")
			if p.echo() {
				t.Error("the terminal shows what is typed at the prompt")
			}
			p.press(keys)
			drained := make(chan struct{})
			go func() { // ends with the process, or with the terminal
				defer close(drained)
				buf := make([]byte, 4096)
				for {
					n, err := p.master.Read(buf)
					if err != nil {
						return
					}
					p.seen.Write(buf[:n])
				}
			}()
			err := cmd.Wait()
			if !p.echo() {
				t.Errorf("the tool ended (%v), and the terminal no longer shows what is typed", err)
			}
			if (name == "a secret") != (err == nil) {
				t.Errorf("the tool ended with %v", err)
			}
			_ = p.slave.Close()
			<-drained
			if strings.Contains(p.seen.String(), session) {
				t.Error("the terminal has shown the secret")
			}
		})
	}
}

// TestSuspendedAtThePrompt: Ctrl-Z gives the terminal to the shell as it was, and fg asks again.
func TestSuspendedAtThePrompt(t *testing.T) {
	if _, err := exec.LookPath("stty"); err != nil {
		t.Skip("there is no stty")
	}
	d := newDesk(t, &testserver.Server{Session: session})
	p := newTerminal(t)
	// A shell with job control, which does to its terminal only what it is told here.
	cmd := p.run(d, []string{"sh", "-c", `set -m; "$@"; stty -a | grep -q " -echo " && echo hidden || echo shown; fg`, "sh"},
		"login", "-user", "alice", "-key", testserver.DefaultKey, "-base", d.url, "-token-url", d.url+"/token")
	p.await("Session secret of alice")
	p.press(ctrlZ)
	p.await("shown")
	p.await("Session secret of alice")
	if p.echo() {
		t.Error("after fg the terminal shows what is typed at the prompt")
	}
	p.press(session + "\n")
	p.await("Logged in as alice")
	if err := cmd.Wait(); err != nil || !p.echo() {
		t.Errorf("it ended with %v; the terminal shows what is typed: %v", err, p.echo())
	}
}

// TestPostFromATerminal: a person types the text, as the help says.
func TestPostFromATerminal(t *testing.T) {
	d := newDesk(t, new(testserver.Server))
	d.login()
	p := newTerminal(t)
	cmd := p.start(d, "post")
	p.await("Ctrl-D at the beginning of a line ends it")
	p.press("Hello\nfrom a terminal\n" + ctrlD)
	p.await("Posted to user:alice.")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	var posted entry
	if err := json.Unmarshal([]byte(d.ok("list", "-json")), &posted); err != nil || posted.Text != "Hello\nfrom a terminal" {
		t.Errorf("what was posted is %q, %v", posted.Text, err)
	}
}
