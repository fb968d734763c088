package filestore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

// The proofs run processes of their own: this test binary, with the environment variable roleEnv
// saying what to do. By default they are short; with STAYAUTH_PROOF=1 in the environment they are
// run in full, which takes some minutes:
//
//	STAYAUTH_PROOF=1 go test -run Proof -timeout 30m ./provider/filestore
const (
	roleEnv    = "FILESTORE_ROLE"
	dirEnv     = "FILESTORE_DIR"
	backendEnv = "FILESTORE_BACKEND"

	unixRole = "unix: " // begins the roles of TestProofUnixChild
)

// rounds returns how often a proof is repeated.
func rounds(short, full int) int {
	if os.Getenv("STAYAUTH_PROOF") != "" {
		return full
	}
	return short
}

// quick returns the path of a folder that is not there yet, in memory where there is such a place:
// the proofs kill processes and not machines, and a disk that others use too may take seconds,
// which the leases of the proofs do not have.
func quick(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "filestore")
	if err != nil {
		return folder(t)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "logins")
}

// start starts a process of this test binary in the given role.
func start(t *testing.T, role, dir, backend string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProof(Unix)?Child$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+dir, backendEnv+"="+backend)
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// TestProofChild is what the processes run.
func TestProofChild(t *testing.T) {
	role := os.Getenv(roleEnv)
	if role == "" || strings.HasPrefix(role, unixRole) {
		t.Skip("only as a process of another test")
	}
	files := &filestore.Store{Dir: os.Getenv(dirEnv)}
	one := &shared.Login{Provider: ask{os.Getenv(backendEnv), func() {}}, Store: files, Key: "alice"}
	switch role {
	case "client":
		useAPI(t, one, os.Getenv(backendEnv))
	case "client without a lock":
		one.Store = unlocked{files}
		useAPI(t, one, os.Getenv(backendEnv))
	default:
		dying := &dyingStore{Store: files, at: role}
		one.Store, one.Lease = dying, killedLease
		one.Provider = ask{os.Getenv(backendEnv), dying.answer}
		_, err := next(t.Context(), one)
		t.Fatalf("still alive after %q; the error is %v", role, err)
	}
}

// next returns what p has in place of the first token. It asks again after a temporary error, as a
// transport does: on a busy machine an operation may take longer than a short lease leaves it.
func next(ctx context.Context, p provider.TokenProvider) (provider.Token, error) {
	for {
		t, err := p.Token(ctx, login())
		if err == nil || provider.IsPermanent(err) || ctx.Err() != nil {
			return t, err
		}
	}
}

// logIn saves the first token, and tries again as next does.
func logIn(t *testing.T, l *shared.Login) {
	t.Helper()
	for {
		err := l.Login(t.Context(), login())
		if err == nil {
			return
		}
		if provider.IsPermanent(err) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// useAPI calls the API, and gets another token whenever it is refused, until the API lets it go.
func useAPI(t *testing.T, p provider.TokenProvider, backend string) {
	var live provider.Token
	for {
		next, err := p.Token(t.Context(), live)
		if err != nil {
			t.Fatalf("the login is lost: %v", err)
		}
		live = next
		status, _, err := get(t.Context(), backend+"/api?token="+url.QueryEscape(live.Value()))
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusOK {
			return
		}
	}
}

// TestProofProcesses: 16 processes live through 20 expiries on one login.
func TestProofProcesses(t *testing.T) {
	const processes = 16
	expiries := rounds(5, 20)
	b := newBackend(processes, expiries, 1)
	if lost := runProcesses(t, b, "client", processes); lost != 0 || b.calls != expiries || b.reused != 0 {
		t.Errorf("%d of %d processes lost their login; the backend saw %d calls and %d used refresh tokens; want 0, %d and 0",
			lost, processes, b.calls, b.reused, expiries)
	}
}

// TestProofNeedsTheLock is the control: the same processes, who don't see each other's claims, lose
// the login.
func TestProofNeedsTheLock(t *testing.T) {
	const processes = 16
	b := newBackend(processes, 1, 2)
	if lost := runProcesses(t, b, "client without a lock", processes); lost == 0 || b.reused == 0 {
		t.Errorf("%d of %d processes lost their login; the backend saw %d calls and %d used refresh tokens: the test above can't tell a "+
			"lock from none", lost, processes, b.calls, b.reused)
	}
}

// runProcesses runs so many processes in the given role, and returns how many ended badly.
func runProcesses(t *testing.T, b *backend, role string, processes int) (lost int) {
	server := httptest.NewServer(b)
	defer server.Close()
	dir := quick(t)
	logIn(t, &shared.Login{Provider: ask{}, Store: &filestore.Store{Dir: dir}, Key: "alice"})
	ended := make(chan bool)
	for range processes {
		cmd, out := start(t, role, dir, server.URL)
		go func() { // ends with the process
			err := cmd.Wait()
			if err != nil && !strings.Contains(out.String(), "the login is lost") {
				t.Errorf("a process ended with %v:\n%s", err, out)
			}
			if err != nil {
				b.leave()
			}
			ended <- err == nil
		}()
	}
	for range processes {
		if !<-ended {
			lost++
		}
	}
	return lost
}

// unlocked hides from each process who holds the lease, and lets it write over what it has not
// seen.
type unlocked struct{ *filestore.Store }

func (s unlocked) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := s.Store.Load(ctx, key)
	if version == 0 || err != nil {
		return record, version, err
	}
	var fields map[string]any
	if err := json.Unmarshal(record, &fields); err != nil {
		return nil, 0, err
	}
	delete(fields, "holder")
	delete(fields, "lease_ns")
	record, err = json.Marshal(fields)
	return record, version, err
}

func (s unlocked) CompareAndSwap(ctx context.Context, key string, record []byte, _ uint64) (uint64, error) {
	for {
		_, version, err := s.Store.Load(ctx, key)
		if err != nil {
			return 0, err
		}
		if version, err = s.Store.CompareAndSwap(ctx, key, record, version); !errors.Is(err, shared.ErrConflict) {
			return version, err
		}
	}
}
