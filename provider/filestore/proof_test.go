package filestore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// A backend issues tokens for single-use refresh tokens, and takes a secret that comes twice for
// stolen: the login is over. Its API holds each request until the token expires, which it does once
// all clients use it.
type backend struct {
	clients  int // how many requests make the token expire
	expiries int // after so many the API lets everybody go
	together int // calls for a token are answered once so many have come, or after a while

	mu          sync.Mutex // guards the fields below
	calls       int
	current     int // the number of the token that is good
	reused      int // how often a spent secret was brought
	waiting     int
	expired     chan struct{} // closed when the current token expires
	arrived     chan struct{} // closed when together calls have come
	expiriesRun int
}

func newBackend(clients, expiries, together int) *backend {
	return &backend{clients: clients, expiries: expiries, together: together, expired: make(chan struct{}), arrived: make(chan struct{})}
}

func token(n int) string  { return fmt.Sprintf("token-%d", n) }
func secret(n int) string { return fmt.Sprintf("secret-%d", n) }
func login() provider.Token {
	return provider.NewToken(token(0), time.Time{}).WithRefreshToken(secret(0))
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/token":
		b.serveToken(w, r)
	case "/api":
		b.serveAPI(w, r)
	}
}

func (b *backend) serveToken(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.calls++
	if b.calls == b.together {
		close(b.arrived)
	}
	b.mu.Unlock()
	select {
	case <-b.arrived:
	case <-time.After(10 * time.Second): // for a control that does not race: it fails then
	case <-r.Context().Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reused > 0 || r.FormValue("secret") != secret(b.current) {
		b.reused++
		http.Error(w, "this secret was used before", http.StatusBadRequest)
		return
	}
	b.current++
	b.expired = make(chan struct{})
	b.waiting = 0
	_ = json.NewEncoder(w).Encode([]string{token(b.current), secret(b.current)})
}

func (b *backend) serveAPI(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	if r.FormValue("token") != token(b.current) {
		b.mu.Unlock()
		http.Error(w, "expired", http.StatusUnauthorized)
		return
	}
	expired := b.expired
	b.waiting++
	if b.waiting == b.clients {
		b.expiriesRun++
		close(expired)
	}
	done := b.expiriesRun > b.expiries
	b.mu.Unlock()
	select {
	case <-expired:
	case <-r.Context().Done():
	}
	b.mu.Lock()
	done = done || b.expiriesRun > b.expiries
	b.mu.Unlock()
	if !done {
		http.Error(w, "expired", http.StatusUnauthorized)
	}
}

// ask is the provider of the processes: it brings the secret to the backend.
type ask struct {
	url      string
	answered func()
}

func (a ask) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	status, body, err := get(ctx, a.url+"/token?secret="+url.QueryEscape(old.RefreshToken()))
	if err != nil {
		return provider.Token{}, err
	}
	if status != http.StatusOK {
		return provider.Token{}, provider.Permanent(errors.New(string(body)))
	}
	a.answered()
	var answer [2]string
	if err := json.Unmarshal(body, &answer); err != nil {
		return provider.Token{}, err
	}
	return provider.NewToken(answer[0], time.Time{}).WithRefreshToken(answer[1]), nil
}

func get(ctx context.Context, url string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
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
		_, err := one.Token(t.Context(), login())
		t.Fatalf("still alive after %q; the error is %v", role, err)
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
		t.Errorf("%d of %d processes lost their login; the backend saw %d calls and %d used secrets; want 0, %d and 0",
			lost, processes, b.calls, b.reused, expiries)
	}
}

// TestProofNeedsTheLock is the control: the same processes, who don't see each other's claims, lose
// the login.
func TestProofNeedsTheLock(t *testing.T) {
	const processes = 16
	b := newBackend(processes, 1, 2)
	if lost := runProcesses(t, b, "client without a lock", processes); lost == 0 || b.reused == 0 {
		t.Errorf("%d of %d processes lost their login; the backend saw %d calls and %d used secrets: the test above can't tell a "+
			"lock from none", lost, processes, b.calls, b.reused)
	}
}

// runProcesses runs so many processes in the given role, and returns how many ended badly.
func runProcesses(t *testing.T, b *backend, role string, processes int) (lost int) {
	server := httptest.NewServer(b)
	defer server.Close()
	dir := quick(t)
	if err := (&shared.Login{Provider: ask{}, Store: &filestore.Store{Dir: dir}, Key: "alice"}).Login(t.Context(), login()); err != nil {
		t.Fatal(err)
	}
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

// leave says that a client is gone: the others need not wait for it.
func (b *backend) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients--
	if b.waiting == b.clients && b.clients > 0 {
		b.expiriesRun++
		close(b.expired)
	}
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

// killedLease is short, as each round waits for a part of it, and long enough for a machine that
// others use too: an operation of the store has a third of it.
const killedLease = 3 * time.Second

// TestProofKilled kills a process with SIGKILL at each step of a refresh. The record can always be
// read, another process goes on after the lease, and a login is lost only where the backend has
// answered and the file is not yet replaced.
func TestProofKilled(t *testing.T) {
	const (
		unharmed = iota // the other one refreshes
		adopted         // the other one finds the new token
		gap             // the secret is spent and its successor was in the dead process alone
	)
	type step struct {
		at   string
		want int
	}
	steps := []step{{"before claiming", unharmed}}
	for _, s := range filestore.Steps {
		steps = append(steps, step{"claiming: " + s, unharmed})
	}
	steps = append(steps, step{"after claiming", unharmed}, step{"after the answer", gap})
	for i, s := range filestore.Steps {
		steps = append(steps, step{"saving: " + s, []int{gap, gap, adopted, adopted}[i]})
	}
	for _, s := range steps {
		t.Run(s.at, func(t *testing.T) {
			t.Parallel()
			for range rounds(1, 100) {
				b := newBackend(1, 1, 1)
				server := httptest.NewServer(b)
				files := &filestore.Store{Dir: quick(t)}
				other := &shared.Login{Provider: ask{server.URL, func() {}}, Store: files, Key: "alice", Lease: killedLease}
				if err := other.Login(t.Context(), login()); err != nil {
					t.Fatal(err)
				}
				cmd, out := start(t, s.at, files.Dir, server.URL)
				killed := -1
				if runtime.GOOS == "windows" { // which has no signals: Kill ends a process with this code
					killed = 1
				}
				if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != killed {
					t.Fatalf("the process was not killed: %v\n%s", err, out)
				}
				if record, version, err := files.Load(t.Context(), "alice"); version == 0 || !json.Valid(record) || err != nil {
					t.Fatalf("the record can't be read: version %d, %v", version, err)
				}
				got, err := other.Token(t.Context(), login())
				lost := errors.Is(err, shared.ErrEnded)
				if (err != nil && !lost) || lost != (s.want == gap) {
					t.Fatalf("the other process got %q, %v", got.Value(), err)
				}
				if calls := map[bool]int{false: 1, true: 2}[s.want == gap]; b.calls != calls || (!lost && got.Value() != token(1)) {
					t.Fatalf("the other process got %q after %d calls in total; want %d", got.Value(), b.calls, calls)
				}
				server.Close()
			}
		})
	}
}

// dyingStore kills its own process at the given point.
type dyingStore struct {
	*filestore.Store
	at       string
	answered bool
}

func (s *dyingStore) answer() {
	s.answered = true
	s.dieAt("after the answer")
}

func (s *dyingStore) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	doing := "claiming"
	if s.answered {
		doing = "saving"
	}
	s.dieAt("before " + doing)
	if step, ok := strings.CutPrefix(s.at, doing+": "); ok {
		w, err := s.Begin(key, record, version)
		if err != nil {
			return 0, err
		}
		for i := range slices.Index(filestore.Steps, step) + 1 {
			if err := w.Step(i); err != nil {
				return 0, err
			}
		}
		s.dieAt(s.at)
	}
	version, err := s.Store.CompareAndSwap(ctx, key, record, version)
	s.dieAt("after " + doing)
	return version, err
}

func (s *dyingStore) dieAt(point string) {
	if point == s.at {
		self, _ := os.FindProcess(os.Getpid())
		_ = self.Kill()
		select {} // until the signal is here
	}
}
