//go:build linux

package keychain_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	keyring "github.com/zalando/go-keyring"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/keychain"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

const secrets = "org.freedesktop.secrets" // the name of the Secret Service on the bus

// A session is a D-Bus session of the test's own with gnome-keyring on it, unlocked and empty.
// Neither sees the user's.
type session struct {
	conn *dbus.Conn
	bus  *exec.Cmd
}

// startSession skips the test where the machine has no Secret Service.
func startSession(t *testing.T) *session {
	t.Helper()
	for _, name := range []string{"dbus-daemon", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s here: not tested with a real Secret Service (Debian: apt-get install dbus gnome-keyring)", name)
		}
	}
	home := t.TempDir()
	config := filepath.Join(home, "bus.conf")
	// No service folders: nothing is started by being called, such as a prompt on somebody's
	// screen.
	text := `<busconfig><type>session</type><listen>unix:dir=` + home + `</listen><policy context="default">` +
		`<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "XDG_DATA_HOME=" + home, "LANG=C"}

	bus := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--print-address=1")
	bus.Env = env
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, bus)
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon has printed no address: %v", err)
	}
	address = strings.TrimSpace(address)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address) // where go-keyring looks

	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &session{conn, bus}
	owned := make(chan *dbus.Signal, 10)
	conn.Signal(owned)
	if err := conn.AddMatchSignal(dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, secrets)); err != nil {
		t.Fatal(err)
	}
	service := exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets", "--control-directory="+home)
	service.Env = append(env, "DBUS_SESSION_BUS_ADDRESS="+address)
	service.Stdin = strings.NewReader("the keyring's password")
	start(t, service)
	late := time.After(30 * time.Second)
	for {
		select {
		case signal := <-owned:
			if signal.Name == "org.freedesktop.DBus.NameOwnerChanged" {
				return s
			}
		case <-late:
			t.Fatal("gnome-keyring has not come up within 30 s")
		}
	}
}

// start starts a process that ends with the test.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
}

// lock locks the keyring, as a screen lock may.
func (s *session) lock(t *testing.T) {
	t.Helper()
	keyrings := []dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"}
	if err := s.conn.Object(secrets, "/org/freedesktop/secrets").Call("org.freedesktop.Secret.Service.Lock", 0, keyrings).Err; err != nil {
		t.Fatal(err)
	}
}

// TestSecretService is the store with a real keychain, from its best day to its end.
func TestSecretService(t *testing.T) {
	s := startSession(t)
	dir := filepath.Join(t.TempDir(), "logins")
	open := func() *keychain.Store {
		return &keychain.Store{Store: &filestore.Store{Dir: dir}, App: "stayauth test"}
	}
	storetest.Run(t, func(*testing.T) shared.Store { return open() })

	knows := open()
	version := mustSwap(t, knows, "alice", "one", 0)
	v := mustSwap(t, open(), "bob", "one", 0)
	below := &filestore.Store{Dir: dir}
	before, _ := mustLoad(t, below, "alice")
	fails := func(t *testing.T, says string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, _, loadErr := open().Load(ctx, "alice")
		_, swapErr := open().CompareAndSwap(ctx, "alice", []byte("x"), version)
		_, firstErr := open().CompareAndSwap(ctx, fmt.Sprint("new ", says), []byte("x"), 0)
		for _, err := range []error{loadErr, swapErr, firstErr} {
			if after, ok := provider.RetryDelay(err); !ok || after != time.Minute || ctx.Err() != nil {
				t.Errorf("%v: want an error at once that may be mended", err)
			}
		}
		if !strings.Contains(loadErr.Error(), says) {
			t.Errorf("Load: %v, want %q", loadErr, says)
		}
		if now, _ := mustLoad(t, below, "alice"); now != before {
			t.Error("the record was changed")
		}
		if record, _ := mustLoad(t, below, fmt.Sprint("new ", says)); record != "" {
			t.Error("a record was written")
		}
	}

	s.lock(t)
	fails(t, "unlock")
	if record, _ := mustLoad(t, knows, "alice"); record != "one" {
		t.Errorf("Load by a process that has the key = %q", record)
	}

	_ = s.bus.Process.Kill() // it is over either way
	_ = s.bus.Wait()
	fails(t, "can't be used")

	// A new session, whose keyring knows nothing: as after a copy to another machine.
	startSession(t)
	if _, _, err := open().Load(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), keychain.ErrKeyLost.Error()) {
		t.Errorf("Load without the key: %v", err)
	}
	if _, err := open().CompareAndSwap(t.Context(), "bob", []byte("x"), v); err == nil {
		t.Error("CompareAndSwap without the key: no error")
	}
	if err := open().Discard(t.Context(), "alice"); err != nil {
		t.Errorf("Discard: %v", err)
	}
	mustSwap(t, open(), "alice", "two", 0)
	if err := keyring.DeleteAll("stayauth test"); err != nil {
		t.Error(err)
	}
	if _, _, err := open().Load(t.Context(), "alice"); err == nil {
		t.Error("Load after the key was deleted: no error")
	}
}
