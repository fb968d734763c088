package filestore_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

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
		gap             // the refresh token is spent and its successor was in the dead process alone
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
				logIn(t, other)
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
				got, err := next(t.Context(), other)
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
