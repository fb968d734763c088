package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// TestMain makes a worker of the test binary where the fleet starts one.
func TestMain(m *testing.M) {
	if job := os.Getenv(jobVariable); job != "" {
		os.Exit(work(job, os.Stdin, os.Stdout))
	}
	if dir := os.Getenv(keeperVariable); dir != "" {
		os.Exit(keep(dir, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

var lastLine = regexp.MustCompile(
	`^workers=4 kills=(\d+) expiries=(\d+) token_calls=(\d+) reused=(\d+) excused=(\d+) lost_logins=0 posts=(\d+) failed=0$`)

// TestFleet runs small fleets on real Redis, processes and time. What must hold does so however
// fast the machine is.
func TestFleet(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server on this machine")
	}
	for name, flags := range map[string]string{
		"spared in the gap": "-for 6s -workers 4 -kill 2s",
		"killed in the gap": "-for 6s -workers 4 -kill 2s -gap",
		"chaos":             "-for 32s -workers 4 -chaos",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), strings.Fields(flags), &stdout, &stderr); status != 0 {
				t.Errorf("exit status %d, and it says %q", status, stderr.String())
			}
			lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
			numbers := lastLine.FindStringSubmatch(lines[len(lines)-1])
			if numbers == nil {
				t.Fatalf("it printed %s", stdout.String())
			}
			for i, what := range []string{"", "kills", "expiries", "token calls", "", "", "posts"} {
				if n, _ := strconv.Atoi(numbers[i]); what != "" && (n == 0) != (what == "kills" && name == "chaos") {
					t.Errorf("there were %d %s: %s", n, what, numbers[0])
				}
			}
			if name == "chaos" && !strings.Contains(stdout.String(), "killed the master, and ") {
				t.Errorf("the store did not fail over:\n%s", stdout.String())
			}
			if reused, excused := numbers[4], numbers[5]; reused != excused && !strings.Contains(flags, "-gap") {
				t.Errorf("%s calls came with a spent refresh token, and %s had a reason to:\n%s", reused, excused, stdout.String())
			}
		})
	}
}

func TestWithoutRedis(t *testing.T) {
	t.Setenv("PATH", "")
	var stderr bytes.Buffer
	if status := run(t.Context(), nil, io.Discard, &stderr); status != exitUsage || !strings.HasPrefix(stderr.String(), "fleet: there is no redis-server") {
		t.Errorf("exit status %d, and it says %q", status, stderr.String())
	}
}

func TestUsage(t *testing.T) {
	for args, says := range map[string]string{
		"-bogus":      "flag provided but not defined: -bogus",
		"-for soon":   `invalid value "soon" for flag -for`,
		"-for 0s":     "fleet: -for, -workers, -ttl and -kill must be more than 0",
		"-workers 0":  "fleet: -for, -workers, -ttl and -kill must be more than 0",
		"-ttl -1s":    "fleet: -for, -workers, -ttl and -kill must be more than 0",
		"-kill 0s":    "fleet: -for, -workers, -ttl and -kill must be more than 0",
		"-chaos -gap": "fleet: -chaos kills no workers: leave -gap out",
		"now":         `fleet: unexpected argument "now"`,
	} {
		var stderr bytes.Buffer
		if status := run(t.Context(), strings.Fields(args), io.Discard, &stderr); status != exitUsage || !strings.HasPrefix(stderr.String(), says) {
			t.Errorf("%s: exit status %d, and it says %q", args, status, stderr.String())
		}
	}
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, io.Discard, &stderr); status != 0 || !strings.HasPrefix(stderr.String(), "Usage of fleet") {
		t.Errorf("-h: exit status %d, and it says %q", status, stderr.String())
	}
}

func TestResult(t *testing.T) {
	ledger := testserver.Ledger{
		TokenCalls: 3, Issued: 3,
		Tokens:   map[string]testserver.Token{"1": {Uses: 10}, "2": {Uses: 3}, "never used": {}},
		Requests: map[string]testserver.Request{"1": {Effects: 1}, "2": {Effects: 1}, "only looked": {}},
	}
	good := resultOf(tally{posts: 2, kills: 1}, ledger, nil)
	good.workers = 1
	if err := good.err(); err != nil {
		t.Errorf("a good run: %v", err)
	}
	if want := "workers=1 kills=1 expiries=1 token_calls=3 reused=0 excused=0 lost_logins=0 posts=2 failed=0"; good.line() != want {
		t.Errorf("the last line is %q, want %q", good.line(), want)
	}
	for says, spoil := range map[string]func(*result){
		"the login was lost: the backend said no":                                   func(r *result) { r.lost, r.cause = true, "the backend said no" },
		"calls of the backend with a spent refresh token: 3, and 2 had a reason to": func(r *result) { r.rejected, r.inGap, r.excused = 3, 1, 1 },
		"posts that failed: 1, the first: worker 1.1: a post failed":                func(r *result) { r.failed, r.failure = 1, "worker 1.1: a post failed" },
		"workers that ended by themselves: 1":                                       func(r *result) { r.ended = 1 },
		"3 posts were acknowledged, and 2 took effect":                              func(r *result) { r.posts = 3 },
		"2 posts were acknowledged, and 5 took effect":                              func(r *result) { r.arrived = 5 }, // one kill, one worker: 4 would be in order
		"a request took effect twice":                                               func(r *result) { r.check = errors.New("a request took effect twice") },
	} {
		bad := good
		spoil(&bad)
		if err := bad.err(); err == nil || err.Error() != says {
			t.Errorf("it complains of %v, want %q", err, says)
		}
	}
	ledger.Forgotten = 1
	if resultOf(tally{}, ledger, nil).check == nil {
		t.Error("a ledger that has forgotten something is taken for complete")
	}
}

// TestSentence is about when a worker may be killed.
func TestSentence(t *testing.T) {
	for name, test := range map[string]struct {
		gap  bool
		w    worker
		want tally
		then worker
	}{
		"idle":                  {false, worker{running: true}, tally{kills: 1}, worker{running: true, killed: true}},
		"asking":                {false, worker{running: true, asking: true}, tally{kills: 1, asking: 1}, worker{running: true, asking: true, killed: true}},
		"in the gap":            {false, worker{running: true, spending: true}, tally{spared: 1}, worker{running: true, spending: true, doomed: true}},
		"in the gap, with -gap": {true, worker{running: true, spending: true}, tally{kills: 1, inGap: 1}, worker{running: true, spending: true, killed: true}},
		"dead":                  {false, worker{running: true, killed: true}, tally{}, worker{running: true, killed: true}},
		"gone home":             {false, worker{}, tally{}, worker{}},
	} {
		f := &fleet{gap: test.gap}
		now := f.sentence(&test.w)
		if now != (test.want.kills > 0) || f.seen != test.want || test.w != test.then {
			t.Errorf("%s: killed now: %v, counted %+v, and the worker is %+v", name, now, f.seen, test.w)
		}
	}

	f := &fleet{workers: map[string]*worker{"1.1": {running: true}}}
	w := f.asks("1.1")
	spent := f.spends(w)
	f.heard(w, "rested 0") // before that call
	if !spent || !w.asking || !w.spending {
		t.Error("an old report was taken for the end of a new call")
	}
	f.heard(w, "rested 1")
	if w.asking || w.spending {
		t.Error("the end of the call was not noticed")
	}

	killed := &worker{killed: true}
	if f := new(fleet); f.spends(killed) || killed.spending {
		t.Error("the refresh token of a dead worker was spent")
	}
	if f := (&fleet{gap: true, seen: tally{asking: 1}}); !f.spends(killed) || f.seen != (tally{inGap: 1}) {
		t.Errorf("with -gap the refresh token of a dead worker was not spent, or not counted: %+v", f.seen)
	}
}

// TestStopsEarly: the fleet goes home when it is told to.
func TestStopsEarly(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server on this machine")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := onWrite(func(p []byte) {
		if bytes.Contains(p, []byte("   1 s")) {
			cancel()
		}
	})
	var stderr bytes.Buffer
	if status := run(ctx, []string{"-for", "1h", "-workers", "2"}, out, &stderr); status != 0 {
		t.Errorf("exit status %d, and it says %q", status, stderr.String())
	}
}

// TestSlowLogin: the fleet begins also where Redis answers late for once.
func TestSlowLogin(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server on this machine")
	}
	s, err := startStore(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	client := s.servers[0].client()
	defer client.Close()
	if err := client.Do(t.Context(), "CLIENT", "PAUSE", lease.Milliseconds(), "ALL").Err(); err != nil {
		t.Fatal(err)
	}
	tokens := provider.Func(func(context.Context) (string, error) { return "token", nil })
	if err := logIn(t.Context(), tokens, s.place()); err != nil {
		t.Error(err)
	}
}

// TestKilledFleet: when the fleet is killed its Redis ends, too, and leaves nothing behind.
func TestKilledFleet(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server on this machine")
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "a folder"))
	if err := os.Mkdir(os.Getenv("TMPDIR"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := startStore(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range endSignals { // which a terminal sends to all
		if runtime.GOOS != "windows" {
			_ = s.keeper.Process.Signal(signal)
		}
	}
	s.alive.Close() // as the system does
	if err := s.keeper.Wait(); err != nil {
		t.Errorf("the keeper: %v", err)
	}
	for _, server := range append(s.servers, s.sentinel) {
		err := await(t.Context(), "the "+server.name+" is still there", func() bool {
			c, err := net.Dial("tcp", server.addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}

type onWrite func([]byte)

func (f onWrite) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
