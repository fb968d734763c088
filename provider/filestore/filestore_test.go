package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store := &filestore.Store{Dir: filepath.Join(dir, "mytool")} // a tool would set App instead
	backend := provider.Func(func(context.Context) (string, error) { return "a token", nil })

	// The first run logs in, the next one finds the login.
	for range 2 {
		token, err := (&shared.Login{Provider: backend, Store: store, Key: "alice"}).Token(context.Background(), provider.Token{})
		fmt.Println(token.Value(), err)
	}
	// Output:
	// a token <nil>
	// a token <nil>
}

func TestConformance(t *testing.T) {
	dir := folder(t)
	storetest.Run(t, func(*testing.T) shared.Store { return settled(t, dir) })
}

func TestLoss(t *testing.T) {
	dir := folder(t)
	storetest.RunLoss(t, func(*testing.T) shared.Store { return settled(t, dir) }, func(t *testing.T) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	})
}

// settled returns a Store in dir, which nothing writes to any more when t removes it.
func settled(t *testing.T, dir string) *filestore.Store {
	s := &filestore.Store{Dir: dir}
	t.Cleanup(s.Settle)
	return s
}

// folder returns the path of a folder that is not there yet.
func folder(t *testing.T) string { return filepath.Join(t.TempDir(), "logins") }

// saved returns a store in a new folder, with a record under "alice", the record's file and its
// version.
func saved(t *testing.T) (s *filestore.Store, path string, version uint64) {
	t.Helper()
	s = settled(t, folder(t))
	version, err := s.CompareAndSwap(t.Context(), "alice", []byte("geheim"), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, filepath.Join(s.Dir, filestore.FileName("alice")), version
}

func TestFileName(t *testing.T) {
	names := make(map[string]string)
	for _, test := range []struct{ key, name string }{
		{"alice", "login-alice.json"},
		{"alice@example.com", "login-alice@example.com.json"},
		{"Alice", "login-%41lice.json"},
		{"%41lice", "login-%2541lice.json"},
		{"a/../b", "login-a%2f..%2fb.json"},
		{`a\b:c`, "login-a%5cb%3ac.json"},
		{"..", "login-...json"},
		{"é", "login-%c3%a9.json"},
		{"\x00", "login-%00.json"},
		{"alice.json.lock", "login-alice.json.lock.json"},
		{"~", "login-%7e.json"},
	} {
		if got := filestore.FileName(test.key); got != test.name {
			t.Errorf("the file of %q is %q, want %q", test.key, got, test.name)
		}
	}
	for i := range 300 { // cut names, and names around where they begin to be
		for _, c := range []string{"k", "K"} {
			key := strings.Repeat(c, i)
			name := filestore.FileName(key)
			if len(name) > 200 || strings.ToLower(name) != name || strings.ContainsAny(name, `/\:*?"<>| `) {
				t.Errorf("the file of %q is %q: not a good name", key, name)
			}
			if other, ok := names[name]; ok && i > 0 {
				t.Errorf("%q and %q have the same file", key, other)
			}
			names[name] = key
		}
	}
}

func TestDefaultPlace(t *testing.T) {
	absolute := func(path string) string { // as this system writes it: on Windows a path without a drive is not absolute
		if runtime.GOOS == "windows" && strings.HasPrefix(path, "/") {
			path = "C:" + path
		}
		return filepath.FromSlash(path)
	}
	for _, test := range []struct {
		system, want string
		env          map[string]string
	}{
		{"linux", "/home/me/.local/state", nil},
		{"freebsd", "/home/me/.local/state", nil},
		{"linux", "/state", map[string]string{"XDG_STATE_HOME": "/state"}},
		{"linux", "/home/me/.local/state", map[string]string{"XDG_STATE_HOME": "relative"}},
		{"linux", "/home/me/.local/state", map[string]string{"LocalAppData": "/wrong"}},
		{"darwin", "/home/me/Library/Application Support", map[string]string{"XDG_STATE_HOME": "/wrong"}},
		{"windows", "/AppData", map[string]string{"LocalAppData": "/AppData"}},
		{"windows", "/home/me/AppData/Local", nil},
	} {
		home := func() (string, error) { return absolute("/home/me"), nil }
		got, err := filestore.StateHome(test.system, func(name string) string { return absolute(test.env[name]) }, home)
		if err != nil || got != absolute(test.want) {
			t.Errorf("on %s with %v state is kept in %q, %v; want %q", test.system, test.env, got, err, test.want)
		}
	}
	_, err := filestore.StateHome("linux", func(string) string { return "" }, func() (string, error) { return "", errors.New("$HOME is not defined") })
	if err == nil || !strings.Contains(err.Error(), "$HOME") || !strings.Contains(err.Error(), "Store.Dir") || !provider.IsPermanent(err) {
		t.Errorf("without a home: %v; want a permanent error that says what is missing and what to do", err)
	}
}

func TestApp(t *testing.T) {
	state := t.TempDir()
	for _, name := range []string{"XDG_STATE_HOME", "LocalAppData", "HOME"} {
		t.Setenv(name, state)
	}
	if _, err := (&filestore.Store{App: "mytool"}).CompareAndSwap(t.Context(), "alice", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(state, "mytool", "login-alice.json"))
	if more, _ := filepath.Glob(filepath.Join(state, "*", "*", "mytool", "login-alice.json")); len(found)+len(more) != 1 || err != nil {
		t.Errorf("the login of mytool is not in its folder below %s", state)
	}
	for _, s := range []*filestore.Store{{}, {App: "."}, {App: ".."}, {App: "a/b"}, {App: "../a"}, {App: "/"}, {App: "a\x00b"}} {
		_, _, loadErr := s.Load(t.Context(), "alice")
		_, swapErr := s.CompareAndSwap(t.Context(), "alice", []byte("x"), 0)
		for _, err := range []error{loadErr, swapErr} {
			if err == nil || !strings.Contains(err.Error(), "Store.App") || !provider.IsPermanent(err) {
				t.Errorf("with App %q: %v; want a permanent error that names the field", s.App, err)
			}
		}
	}
}

// TestDamaged cuts the file after every byte, and changes every byte. What is left must never pass
// for a record or for none.
func TestDamaged(t *testing.T) {
	s, path, version := saved(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, loadErr := s.Load(t.Context(), "alice")
		_, swapErr := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version)
		_, newErr := s.CompareAndSwap(t.Context(), "alice", []byte("new"), 0)
		for _, err := range []error{loadErr, swapErr, newErr} {
			if err == nil || errors.Is(err, shared.ErrConflict) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "geheim") {
				t.Fatalf("%s: %v; want an error that names the file and shows nothing of it", what, err)
			}
			if !provider.IsNoRetry(err) || provider.IsPermanent(err) {
				t.Fatalf("%s: %v, permanent: %t; want to be told at once, and asked again later", what, err, provider.IsPermanent(err))
			}
		}
		if left, _ := os.ReadFile(path); string(left) != string(damaged) {
			t.Fatalf("%s: the file was overwritten", what)
		}
	}
	for i := range whole {
		check(fmt.Sprintf("cut after %d bytes", i), whole[:i])
		changed := []byte(string(whole))
		changed[i] ^= 1
		check(fmt.Sprintf("byte %d changed", i), changed)
	}
	check("longer", []byte(string(whole)+"x"))
	check("zeros, as after a power failure", make([]byte, len(whole)))
	check("a later format", []byte(strings.Replace(string(whole), "stayauth-record 1 ", "stayauth-record 2 ", 1)))
	check("another file", []byte("[core]\n\tbare = false\n"))
}

// TestDamagedAndMended: a login whose file is damaged is not over. Its users are told at once, and
// as soon as a person has put the file right, or moved it away, they go on.
func TestDamagedAndMended(t *testing.T) {
	for name, mend := range map[string]func(path string, whole []byte) error{
		"put right":  func(path string, whole []byte) error { return os.WriteFile(path, whole, 0o600) },
		"moved away": func(path string, _ []byte) error { return os.Rename(path, path+".damaged") },
	} {
		t.Run(name, func(t *testing.T) {
			s := &filestore.Store{Dir: folder(t)}
			calls := 0
			backend := provider.Func(func(context.Context) (string, error) {
				calls++
				return fmt.Sprint("token ", calls), nil
			})
			login := func() *shared.Login { return &shared.Login{Provider: backend, Store: s, Key: "alice"} }
			first, err := login().Token(t.Context(), provider.Token{})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(s.Dir, filestore.FileName("alice"))
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
				t.Fatal(err)
			}
			another := login() // of a process that has nothing in memory
			for range 2 {
				_, err := another.Token(t.Context(), provider.Token{})
				if !provider.IsNoRetry(err) || provider.IsPermanent(err) || errors.Is(err, shared.ErrEnded) {
					t.Fatalf("Token where the file is damaged: %v; want an error that is told at once and not permanent", err)
				}
			}
			if err := mend(path, whole); err != nil {
				t.Fatal(err)
			}
			want := first.Value()
			if name == "moved away" {
				want = "token 2"
			}
			if got, err := another.Token(t.Context(), provider.Token{}); got.Value() != want || err != nil {
				t.Errorf("Token after the file was %s = %q, %v; want %q", name, got.Value(), err, want)
			}
		})
	}
}

// TestVersionsSurviveDeletion: a file that was deleted by hand does not bring old versions back.
func TestVersionsSurviveDeletion(t *testing.T) {
	s, path, version := saved(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	again, err := s.CompareAndSwap(t.Context(), "alice", []byte("new"), 0)
	if err != nil || again <= version {
		t.Errorf("after the file was deleted a write got version %d, %v; want one above %d", again, err, version)
	}
}

// TestLeftBehind: the temporary file of a process that was killed is in no one's way, and there is
// never more than one.
func TestLeftBehind(t *testing.T) {
	s, path, version := saved(t)
	if err := os.WriteFile(path+".tmp", []byte("half a rec"), 0o600); err != nil {
		t.Fatal(err)
	}
	version, err := s.CompareAndSwap(t.Context(), "alice", []byte("new"), version)
	if err != nil {
		t.Fatal(err)
	}
	record, found, err := s.Load(t.Context(), "alice")
	if string(record) != "new" || found != version || err != nil {
		t.Errorf("Load = %q, version %d, %v; want what was written", record, found, err)
	}
	names, _ := filepath.Glob(filepath.Join(s.Dir, "*"))
	if len(names) != 2 {
		t.Errorf("the folder holds %q; want the file and its lock only", names)
	}
}

// A relative Dir is meant from where the program was.
func TestDirIsResolvedOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	s := &filestore.Store{Dir: "logins"}
	if _, err := s.CompareAndSwap(t.Context(), "alice", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if r, v, err := s.Load(t.Context(), "alice"); string(r) != "x" {
		t.Errorf("after the program went elsewhere: %q, version %d, %v", r, v, err)
	}
}

// TestTooLong: a record that could not be read again is not written.
func TestTooLong(t *testing.T) {
	s, _, version := saved(t)
	if _, err := s.CompareAndSwap(t.Context(), "alice", make([]byte, 16<<20), version); !errors.Is(err, shared.ErrUnwritable) {
		t.Errorf("CompareAndSwap: %v; want ErrUnwritable", err)
	}
	if record, _, err := s.Load(t.Context(), "alice"); string(record) != "geheim" || err != nil {
		t.Errorf("Load after it = %q, %v", record, err)
	}
}
