package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
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
