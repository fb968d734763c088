package referee_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

const childEnv = "STAYAUTH_REFEREE_CHILD"

// A childOrder is what a process of its own has to do.
type childOrder struct {
	TokenURL, API, Dir string
	Key                []byte
}

// A childReport is what it says on its standard output.
type childReport struct {
	Requests, Failed int
	Error            string // the last one
}

func TestMain(m *testing.M) {
	if order := os.Getenv(childEnv); order != "" {
		child(order)
		return
	}
	os.Exit(m.Run())
}

// child is a program that makes requests on a shared login, until its standard input ends.
func child(order string) {
	var o childOrder
	var report childReport
	if err := json.Unmarshal([]byte(order), &o); err != nil {
		report.Error = err.Error()
	}
	login := &shared.Login{Provider: tokensFor(o.TokenURL, o.Key), Store: &filestore.Store{Dir: o.Dir}, Key: "alice"}
	c := newClient(login, o.API, o.Key)
	stop := make(chan struct{})
	go func() { // ends with the process that began this one, or before
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	for on := true; on; {
		report.Requests++
		if err := c.get(); err != nil {
			report.Failed++
			report.Error = err.Error()
		}
		select {
		case <-stop:
			on = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := c.transport.Close(); err != nil {
		report.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(report)
}

// Sixteen processes on one login, whose access token lives 2 s, for as long as it takes to replace
// that some times: nothing fails, each expiry costs one call, and no refresh token is sent twice.
func testProcesses(t *testing.T, s *server) {
	const processes, calls = 16, 6
	began := time.Now()
	_, store := s.loggedIn(s.tokens())
	order, err := json.Marshal(childOrder{s.tokenURL, s.api, store.Dir, s.key})
	if err != nil {
		t.Fatal(err)
	}
	until, stop, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer until.Close()
	defer stop.Close()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		sum     childReport
		reports int
	)
	for range processes {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Stdin = until
			cmd.Env = append(os.Environ(), childEnv+"="+string(order))
			out, err := cmd.Output()
			var r childReport
			if err = errors.Join(err, json.Unmarshal(out, &r)); err != nil {
				t.Errorf("a process: %v, %s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			reports++
			sum.Requests += r.Requests
			sum.Failed += r.Failed
			if r.Error != "" {
				t.Errorf("a process: %s", r.Error)
			}
		})
	}
	for made := 0; made < calls && time.Since(began) < 5*time.Minute; made, _ = s.counts() {
		time.Sleep(50 * time.Millisecond)
	}
	stop.Close()
	wg.Wait()
	took := time.Since(began)
	refreshes, reused := s.counts()
	t.Logf("%d processes, %v: %d requests, %d failed, %d token calls, %d with a spent refresh token", reports, took.Round(time.Second),
		sum.Requests, sum.Failed, refreshes, reused)
	if sum.Failed != 0 || reused != 0 || sum.Requests < processes {
		t.Error("want 0 failed and 0 with a spent refresh token")
	}
	// One call for each expiry: no token is replaced before half of its life is over, so the halves
	// of all that were replaced fit into the time that it took. What a stalled machine takes away
	// from one, it adds to the one before.
	var needed time.Duration
	for _, l := range s.lives[:max(len(s.lives)-1, 0)] {
		needed += l / 2
	}
	if needed > took || refreshes != len(s.lives) || refreshes < calls {
		t.Errorf("%d token calls, %d of them with success, for tokens of which half the lives are %v, in %v", refreshes, len(s.lives), needed, took)
	}
}
