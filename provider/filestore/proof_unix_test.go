//go:build unix

package filestore_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

// suspendedLease is long enough for a machine that others use too, as killedLease is.
const (
	suspendedLease = 3 * time.Second
	suspendedFor   = 5 * time.Second // in which anyone who takes it for dead has done so
)

const (
	isSuspended  = unixRole + "is suspended with the answer in its hands"
	isSaving     = unixRole + "is suspended while it saves the answer"
	isKilled     = unixRole + "is killed in a refresh"
	shortCommand = unixRole + "lives for 10 s"
)

// TestProofUnixChild is what the processes run.
func TestProofUnixChild(t *testing.T) {
	self := os.Getpid()
	l := &shared.Login{Store: &filestore.Store{Dir: os.Getenv(dirEnv)}, Key: "alice"}
	ctx := t.Context()
	switch role := os.Getenv(roleEnv); role {
	case isSuspended:
		l.Lease = suspendedLease
		resumed := make(chan os.Signal, 1)
		signal.Notify(resumed, syscall.SIGCONT)
		l.Provider = ask{os.Getenv(backendEnv), func() {
			_ = syscall.Kill(self, syscall.SIGSTOP)
			<-resumed // it does not take effect at once
		}}
	case isSaving:
		l.Lease = suspendedLease
		saving := &suspendedStore{Store: l.Store.(*filestore.Store)}
		l.Store = saving
		l.Provider = ask{os.Getenv(backendEnv), func() { saving.answered.Store(true) }}
	case isKilled:
		l.Provider = provider.Func(func(context.Context) (string, error) {
			_ = syscall.Kill(self, syscall.SIGKILL)
			select {}
		})
	case shortCommand:
		l.Provider = ask{os.Getenv(backendEnv), func() {}}
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		ctx = short
	default:
		t.Skip("only as a process of another test")
	}
	if got, err := next(ctx, l); got.Value() != token(1) || err != nil {
		t.Fatalf("Token = %q, %v; want %q", got.Value(), err, token(1))
	}
}

// suspendedStore suspends its process in the first write after the answer. The write is lost: when
// the process is resumed the operation's time is over.
type suspendedStore struct {
	*filestore.Store
	answered, suspended atomic.Bool
}

func (s *suspendedStore) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if s.answered.Load() && !s.suspended.Swap(true) {
		resumed := make(chan os.Signal, 1)
		signal.Notify(resumed, syscall.SIGCONT)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-resumed // it does not take effect at once
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.Store.CompareAndSwap(ctx, key, record, version)
}

// TestProofSuspended: a process is suspended with the backend's answer in its hands, or while it
// saves that, for longer than its lease. The kernel knows that it lives, and so no other process
// spends the refresh token again. When it is resumed it saves, before it ends.
func TestProofSuspended(t *testing.T) {
	for _, role := range []string{isSuspended, isSaving} {
		t.Run(strings.TrimPrefix(role, unixRole), func(t *testing.T) {
			t.Parallel()
			lost, n := 0, rounds(1, 20)
			for range n {
				b, got, err := aroundSuspended(t, role, suspendedFor, func(s *filestore.Store) shared.Store { return s })
				if got.Value() != token(1) || err != nil || b.calls != 1 {
					lost++
					t.Errorf("the other process got %q, %v after %d calls in total; want %q after 1", got.Value(), err, b.calls, token(1))
				}
			}
			t.Logf("| a holder %s, SIGSTOP %v, lease %v | lost: %d of %d |", strings.TrimPrefix(role, unixRole), suspendedFor, suspendedLease, lost, n)
		})
	}
}

// TestProofNeedsTheHolder is the control: without the lock the suspended process looks dead, when
// its lease is over. On a busy machine that takes longer, as silence counts only while the store
// could be asked.
func TestProofNeedsTheHolder(t *testing.T) {
	t.Parallel()
	hidden := func(s *filestore.Store) shared.Store { return struct{ shared.Store }{s} }
	if b, got, err := aroundSuspended(t, isSuspended, time.Minute, hidden); !errors.Is(err, shared.ErrEnded) || b.reused == 0 {
		t.Errorf("the other process got %q, %v: the test above can't tell a lock from none", got.Value(), err)
	}
}

// aroundSuspended has a process of the given role suspended in the middle of a refresh, and lets it
// go on after that time, or as soon as another process has an answer. It returns what that is; the
// other process sees the store as see shows it.
func aroundSuspended(t *testing.T, role string, after time.Duration, see func(*filestore.Store) shared.Store) (*backend, provider.Token, error) {
	t.Helper()
	b := newBackend(1, 1, 1)
	server := httptest.NewServer(b)
	defer server.Close()
	files := &filestore.Store{Dir: quick(t)}
	other := &shared.Login{Provider: ask{server.URL, func() {}}, Store: see(files), Key: "alice", Lease: suspendedLease}
	logIn(t, other)
	cmd, out := start(t, role, files.Dir, server.URL)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the process was not suspended: %v, %v\n%s", status, err, out)
	}
	type result struct {
		token provider.Token
		err   error
	}
	done := make(chan result, 1)
	go func() { // ends with the call
		got, err := next(t.Context(), other)
		done <- result{got, err}
	}()
	limit := time.NewTimer(after)
	defer limit.Stop()
	select {
	case r := <-done:
		done <- r
	case <-limit.C:
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // whatever became of it
	r := <-done
	return b, r.token, r.err
}

// TestProofShortCommands: a process is killed in a refresh, and after it come commands that live
// for less than its lease. The first of them gets the token.
func TestProofShortCommands(t *testing.T) {
	t.Parallel()
	b := newBackend(1, 1, 1)
	server := httptest.NewServer(b)
	defer server.Close()
	files := &filestore.Store{Dir: quick(t)}
	l := &shared.Login{Provider: ask{server.URL, func() {}}, Store: files, Key: "alice"}
	logIn(t, l)
	cmd, out := start(t, isKilled, files.Dir, server.URL)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the process was not killed: %v\n%s", err, out)
	}
	cmd, out = start(t, shortCommand, files.Dir, server.URL)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the first command after it: %v\n%s", err, out)
	}
	if b.calls != 1 || b.reused != 0 {
		t.Errorf("the backend saw %d calls and %d used refresh tokens; want 1 and 0", b.calls, b.reused)
	}
}
