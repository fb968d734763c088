package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"github.com/stayauth/stayauth/provider/filestore"
)

// With -keychain nothing in the state folder can be read without the keychain, and the tool works
// as without it.
func TestKeychain(t *testing.T) {
	keyring.MockInit()
	t.Setenv("OAUTHCLI_KEYCHAIN", "1")
	d := newDesk(t)
	d.login("-scope", "offline_access read")
	token := strings.TrimSpace(d.ok("token"))
	if got := d.ok("get", "/me"); got != `{"name":"alice"}`+"\n" {
		t.Errorf("get prints %q", got)
	}
	files := 0
	err := filepath.WalkDir(d.state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), token) || strings.Contains(string(text), "refresh") {
			t.Errorf("%s gives the login away", filepath.Base(path))
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}

	// Another machine has the file and not the keychain.
	keyring.MockInitWithError(errors.New("the keychain is locked"))
	status, stdout, stderr := d.run("status")
	if status != exitFailed || stdout != "" || !strings.Contains(stderr, "keychain") {
		t.Errorf("status %d, %q, %q; want an error that names the keychain", status, stdout, stderr)
	}
	t.Setenv("OAUTHCLI_KEYCHAIN", "")
	d.wants(exitFailed, "use -keychain", "status")
}

// A login that could not be kept is not begun: no one types in a code in vain.
func TestNoKeychain(t *testing.T) {
	keyring.MockInitWithError(errors.New("there is no keychain"))
	d := newDesk(t)
	status, stdout, stderr := d.run("login", "-keychain", "-device", "-issuer", d.base, "-client-id", "demo", "-api", d.base)
	if status != exitFailed || stdout != "" || !strings.Contains(stderr, "there is no keychain") || strings.Contains(stderr, "Go to") {
		t.Errorf("status %d, %q, %q; want an error before the login", status, stdout, stderr)
	}
	keyring.MockInit()
	d.wants(exitLoggedOut, "you are not logged in", "status", "-keychain")
	d.login("-keychain")
}

// TestOtherKind: after a logout the next login may be of the other kind, as often as one likes, and
// finds out by itself where.
func TestOtherKind(t *testing.T) {
	keyring.MockInit()
	for _, first := range []string{"", "-keychain"} {
		t.Run("first "+first, func(t *testing.T) {
			d := newDesk(t)
			kind, other := []string{first}, []string{"-keychain"}
			if first == "" {
				kind = nil
			} else {
				other = nil
			}
			d.login(kind...)
			for range 2 {
				d.ok(slices.Concat([]string{"get"}, kind, []string{"/me"})...)
				d.ok(slices.Concat([]string{"logout"}, kind)...)
				d.wants(exitLoggedOut, "you are not logged in", "status")
				d.wants(exitLoggedOut, "you are not logged in", "status", "-keychain")
				kind, other = other, kind
				d.ok(slices.Concat([]string{"login", "-no-browser"}, kind)...)
			}
		})
	}
}

// TestWrongKind: while there is a login of one kind, the other is told how to come by it.
func TestWrongKind(t *testing.T) {
	keyring.MockInit()
	d := newDesk(t)
	for _, command := range [][]string{{"status"}, {"logout"}, {"login", "-no-browser"}} {
		d.login()
		d.wants(exitFailed, "leave -keychain out", slices.Concat(command, []string{"-keychain"})...)
		d.ok("logout")
		d.login("-keychain")
		d.wants(exitFailed, "use -keychain", command...)
		d.ok("get", "-keychain", "/me")
		d.ok("logout", "-keychain")
	}
}

// TestBegunInTheKeychain: a login with -keychain that never came to its end is in no one's way.
func TestBegunInTheKeychain(t *testing.T) {
	keyring.MockInit()
	d := newDesk(t)
	d.goesWrong(away)
	if status, _, stderr := d.run("login", "-keychain", "-no-browser", "-issuer", d.base, "-client-id", "demo", "-api", d.base); status != exitFailed || !strings.Contains(stderr, "the login failed") {
		t.Fatalf("exit status %d, %q; want a login that fails", status, stderr)
	}
	d.fault.Store(nil)
	d.login()
	d.ok("get", "/me")
}

// TestKeyLost: when the keychain has lost its keys, each command says what to do, and a login or a
// logout gives the records up that no one can open.
func TestKeyLost(t *testing.T) {
	for name, lose := range map[string]func(d *desk) error{
		"all":         func(*desk) error { keyring.MockInit(); return nil },
		"the login's": func(d *desk) error { return d.loseKey("demo@" + d.base + "#sealed") },
	} {
		t.Run(name, func(t *testing.T) {
			keyring.MockInit()
			d := newDesk(t)
			lost := func() {
				t.Helper()
				d.login("-keychain")
				if err := lose(d); err != nil {
					t.Fatal(err)
				}
			}
			lost()
			d.wants(exitFailed, "Try: oauthcli login -keychain, or oauthcli logout -keychain", "status", "-keychain")
			d.wants(exitFailed, "Try: oauthcli login -keychain", "token", "-keychain")
			d.wants(exitFailed, "Try: oauthcli login -keychain", "get", "-keychain", "/me")
			d.login("-keychain")
			d.ok("get", "-keychain", "/me")

			lost()
			if status, stdout, stderr := d.run("login", "-keychain", "-no-browser", "-issuer", d.base, "-client-id", "demo", "-api", d.base); status != exitOK || !strings.Contains(stderr, "is given up") {
				t.Errorf("login: exit status %d, %q, %q; want 0, and that it gives up what was there", status, stdout, stderr)
			}

			lost()
			d.wants(exitFailed, "not revoked at the server", "logout", "-keychain")
			d.wants(exitLoggedOut, "you are not logged in", "status", "-keychain")
			if got := d.ok("logout", "-keychain"); got != "You were not logged in.\n" {
				t.Errorf("a second logout prints %q", got)
			}
			d.login() // of the other kind
			d.ok("get", "/me")
			d.ok("logout")

			keyring.MockInit() // and what a logout has left is in no one's way
			if got := d.ok("logout", "-keychain"); got != "You were not logged in.\n" {
				t.Errorf("a logout after a logout prints %q", got)
			}
			d.ok("login", "-keychain", "-no-browser")
			d.ok("get", "-keychain", "/me")
		})
	}
}

// loseKey removes from the keychain what the record of that name is sealed with.
func (d *desk) loseKey(name string) error {
	store := filestore.Store{Dir: d.state}
	data, _, err := store.Load(d.t.Context(), name)
	if err != nil {
		return err
	}
	fields := strings.Fields(strings.SplitN(string(data), "\n", 2)[0]) // stayauth-keychain 1 <id>
	return keyring.Delete(app, "stayauth login "+fields[len(fields)-1])
}
