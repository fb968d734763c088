package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stayauth/stayauth/testserver"
)

// TestMistakes makes every mistake, and reads what the tool has to say to it.
func TestMistakes(t *testing.T) {
	d := newDesk(t, &testserver.Server{Session: session})
	t.Setenv("XDG_STATE_HOME", filepath.Join(t.TempDir(), "unused")) // for those without a command
	d.login()

	// A port where nobody listens.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()

	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()

	files := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, long := write("empty-file", "\n"), write("long", strings.Repeat("x", maxSecret+1))

	for _, test := range []struct {
		line   string
		stdin  string
		status int
		says   string // how it begins, "..." standing for anything
	}{
		{"", "", 2, "there is no command\nTry: cli help"},
		{"poast", "", 2, `there is no command "poast"` + "\nTry: cli help"},
		{"help poast", "", 2, `there is no command "poast"`},
		{"whoami -jason", "", 2, "whoami: flag provided but not defined: -jason\nTry: cli help whoami"},
		{"whoami alice", "", 2, "whoami: it takes flags only"},
		{"list -n many", "", 2, `list: invalid value "many" for flag -n`},
		{"list -n 0", "", 2, "list: -n must be at least 1"},
		{"list -feed alice", "", 2, `list: -feed "alice" is not of the form group:id`},
		{"tail -feed user:", "", 2, `tail: -feed "user:" is not of the form group:id`},
		{"tail -n -1", "", 2, "tail: -n must not be negative"},
		{"post", "", 2, "post: the text is empty"},
		{"post", " \n", 2, "post: the text is empty"},
		{"post -feed x Hello", "", 2, `post: -feed "x" is not`},

		{"login -session s", "", 2, "login: flag provided but not defined: -session\n"},
		{"login " + strings.ReplaceAll(session, " ", "-"), "", 2, "login: it takes flags only"},
		{"login -base example.com", "", 2, "login: -base must be a whole address"},
		{"login -base http://example.com", "", 2, "login: -base must be https"},
		{"login -token-url http://example.com/token", "", 2, "login: -token-url must be https"},
		{"login -token-url ftp://example.com/token", "", 2, "login: -token-url must be a whole address"},
		{"login -token-url https://alice:pw@example.com/token", "", 2, "login: -token-url must have neither a user"},
		{"login -session-file " + filepath.Join(files, "none"), "", 1, "reading the secret: open ..."},
		{"login -session-file " + empty, "", 1, "there is no secret in " + empty + ": it is empty"},
		{"login -session-file " + long, "", 1, long + " has more than 64 KiB"},
		{"login -session-file -", "", 1, "there is no secret in standard input"},
		{"login -session-file -", "nonsense", 1, "alice could not be logged in: ...the session is missing or wrong"},
		{"login", "", 1, "alice could not be logged in: ...the session is missing or wrong...with -session-file"},
		{"login -session-file - -token-url " + nobody, session, 1, "alice could not be logged in: ...refused"},
		{"login -session-file - -base " + nobody, session, 1, "alice could not be logged in: ...refused"},
		{"login -session-file - -token-url " + elsewhere.URL, session, 1, "alice could not be logged in: ...status 404: is -token-url right?"},
		{"login -session-file - -key other", session, 1, "alice could not be logged in: ...the API key is not one of this API's: check -key and -base"},

		{"revoke", "", 2, "revoke: it has to know either -user or -app"},
		{"revoke -app -user alice", "", 2, "revoke: it has to know either -user or -app"},
		{"revoke -app", "", 2, "revoke: there is no API secret"},
		{"revoke -app -base http://example.com", "", 2, "revoke: -base must be https"},
		{"revoke -app -secret-file -", "s3cret", 1, "...signed with another secret"},
		{"revoke -app alice", "", 2, "revoke: it takes flags only"},
		{"auth-checks", "", 2, "auth-checks: say on or off"},
		{"auth-checks on off", "", 2, "auth-checks: say on or off"},
		{"auth-checks off", "", 2, "auth-checks: there is no API secret"},

		{"token", "", 2, "token: it has to know -user"},
		{"token -user alice", "", 2, "token: there is no API secret"},
		{"token -user alice -valid 0s", "", 2, "token: -valid 0"},
		{"token -user alice -valid soon", "", 2, `token: invalid value "soon" for flag -valid`},
		{"token -user alice -secret s3cret", "", 2, "token: flag provided but not defined: -secret\n"},
		{"token -user alice s3cret", "", 2, "token: it takes flags only"},
		{"token -user alice -secret-file " + empty, "", 1, "there is no secret in " + empty},
		{"token -user alice\xff -secret-file -", "s3cret", 1, "the token can't be made: ..."},
	} {
		line := strings.Fields(test.line)
		if len(line) > 0 && !strings.HasPrefix(test.line, "help") {
			line = d.args(line)
		}
		var stdout, stderr bytes.Buffer
		status := newTool(strings.NewReader(test.stdin), &stdout, &stderr).run(t.Context(), line)
		if status != test.status || !matches(stderr.String(), "cli: "+test.says) || stdout.Len() > 0 {
			t.Errorf("cli %s: exit status %d, and it says %q; want %d and %q", test.line, status, stderr.String(), test.status, test.says)
		}
		if strings.HasPrefix(test.line, "login") && strings.Contains(stderr.String(), "log in again") {
			t.Errorf("cli %s: a login that failed ends in %q", test.line, stderr.String())
		}
		for _, secret := range []string{session, strings.ReplaceAll(session, " ", "-"), "s3cret", testserver.DefaultSecret} {
			if strings.Contains(stderr.String(), secret) {
				t.Errorf("cli %s: it prints the secret", test.line)
			}
		}
	}
	d.ok("post", "The login is as it was.")
}

// matches reports whether s begins as pattern says, in which "..." stands for anything.
func matches(s, pattern string) bool {
	first, rest, more := strings.Cut(pattern, "...")
	s, ok := strings.CutPrefix(s, first)
	for ok && more {
		first, rest, more = strings.Cut(rest, "...")
		_, s, ok = strings.Cut(s, first)
	}
	return ok
}

// TestBrokenState is about what may be wrong with the state folder.
func TestBrokenState(t *testing.T) {
	for name, test := range map[string]struct {
		breakIt func(d *desk) error
		says    string
	}{
		"damaged settings": {func(d *desk) error {
			return os.WriteFile(filepath.Join(d.state, "login-settings.json"), []byte("{}"), 0o600)
		}, "cli: filestore: ...login-settings.json is damaged; it is left as it is"},
		"damaged login": {func(d *desk) error {
			return os.WriteFile(d.record(), []byte("{}"), 0o600)
		}, "cli: ...is damaged; it is left as it is"},
		"open to others": {func(d *desk) error { return os.Chmod(d.state, 0o755) }, "cli: filestore: ...run chmod 0700 on it"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "open to others" && runtime.GOOS == "windows" {
				t.Skip("modes say nothing there")
			}
			d := newDesk(t, new(testserver.Server))
			d.login()
			if err := test.breakIt(d); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"logout", "whoami"} {
				if status, _, stderr := d.run(command); status != exitFailed || !matches(stderr, test.says) {
					t.Errorf("%s: exit status %d, and it says %q; want 1 and %q", command, status, stderr, test.says)
				}
			}
		})
	}
}

func TestHelp(t *testing.T) {
	help := func(line ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := newTool(nil, &stdout, &stderr).run(t.Context(), line); status != exitOK || stderr.Len() > 0 {
			t.Errorf("cli %s: exit status %d, and it says %q; want 0 and nothing", strings.Join(line, " "), status, stderr.String())
		}
		return stdout.String()
	}
	overview := help("--help")
	for _, c := range commands() {
		if !strings.Contains(overview, "  "+c.name+" ") {
			t.Errorf("the overview lacks %s", c.name)
		}
		text := help(c.name, "--help")
		if !strings.HasPrefix(text, "usage: cli "+c.name+" [flags]") || !strings.Contains(text, "-json") || help("help", c.name) != text {
			t.Errorf("the help of %s is %q", c.name, text)
		}
	}
}

// TestOutputFails: a full disk is no success.
func TestOutputFails(t *testing.T) {
	d := newDesk(t, new(testserver.Server))
	d.login()
	d.ok("post", "Hello")
	full := errors.New("no space left on device")
	for _, line := range [][]string{{"help"}, {"help", "post"}, d.args([]string{"whoami"}), d.args([]string{"list", "-json"}), d.args([]string{"tail"})} {
		var stderr bytes.Buffer
		if status := newTool(nil, failing{full}, &stderr).run(t.Context(), line); status != exitFailed || stderr.String() != "cli: "+full.Error()+"\n" {
			t.Errorf("%s: exit status %d, and it says %q", line[0], status, stderr.String())
		}
	}
	var stdout, stderr bytes.Buffer
	if status := newTool(iotest.ErrReader(full), &stdout, &stderr).run(t.Context(), d.args([]string{"post"})); status != exitFailed || stdout.Len() > 0 {
		t.Errorf("post from a broken file: exit status %d, and it says %q", status, stdout.String())
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain: äöü 世界 🙂":      "plain: äöü 世界 🙂",
		"two\nlines\ttab":      "two lines tab",
		"\x1b[2Jcleared\a\r\n": "\ufffd[2Jcleared\ufffd  ",
		"\u202egnirts":         "\ufffdgnirts",
		"bad \xff UTF-8":       "bad \ufffd UTF-8",
	} {
		if got := printable(in, false); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}
