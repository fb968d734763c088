package feeds_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

const serverProcess = "STAYAUTH_BENCH_SERVER"

// TestServerProcess is not a test: it is the server of BenchmarkIdleSessions, in a process of its
// own, so that its memory is not counted. It ends when its standard input does.
func TestServerProcess(t *testing.T) {
	if os.Getenv(serverProcess) == "" {
		t.Skip("only as the server process of BenchmarkIdleSessions")
	}
	srv := httptest.NewServer(&testserver.Server{})
	fmt.Println("listening on", srv.URL)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// BenchmarkIdleSessions is what 1,000 logged-in users cost a process that does nothing for them:
// first without a socket, when there must be no goroutine either, and then each with its loop over
// Events. The sessions share one http.Transport.
func BenchmarkIdleSessions(b *testing.B) {
	const sessions = 1000
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerProcess$", "-test.v")
	cmd.Env = append(os.Environ(), serverProcess+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		stdin.Close()
		_ = cmd.Wait()
	}()
	var url string
	for lines := bufio.NewScanner(stdout); url == "" && lines.Scan(); {
		_, url, _ = strings.Cut(lines.Text(), "listening on ")
	}

	client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: url}
	signer := provider.Signer{Secret: provider.NewSecret(testserver.DefaultSecret)}
	for b.Loop() {
		base := measure()
		all := make([]*feeds.Session, sessions)
		for i := range all {
			id := fmt.Sprint("user-", i)
			if all[i], err = client.ConnectUser(b.Context(), feeds.User{ID: id}, signer.For(id)); err != nil {
				b.Fatal(err)
			}
		}
		idle := measure()

		ctx, cancel := context.WithCancel(b.Context())
		var connected, running sync.WaitGroup
		for _, s := range all {
			connected.Add(1)
			running.Go(func() {
				for ev, err := range s.Events(ctx) {
					if err == nil && ev.Type == feeds.EventConnected {
						connected.Done()
					}
				}
			})
		}
		connected.Wait()
		open := measure()
		cancel()
		running.Wait()
		for _, s := range all {
			s.Close()
		}
		each := func(after, before uint64) float64 { return (float64(after) - float64(before)) / sessions / 1024 }
		b.Logf("%d sessions, each: %.1f KiB of heap, %d goroutines; with a socket: %.1f KiB of heap, %.1f KiB of stacks, %.1f goroutines",
			sessions, each(idle.heap, base.heap), (idle.goroutines-base.goroutines)/sessions,
			each(open.heap, base.heap), each(open.stack, base.stack), float64(open.goroutines-base.goroutines)/sessions)
		b.ReportMetric(each(idle.heap, base.heap), "idle-KiB/session")
		b.ReportMetric(each(open.heap+open.stack, base.heap+base.stack), "socket-KiB/session")
	}
}

// BenchmarkBot is a bot on real sockets for 60 s (12 s with -short): its tokens live for 2 s, its
// connection is cut every 3 s, and all the while it posts and hears what it posts. It reports what
// was lost, doubled or failed, and how often the token provider was asked. It fails if anything
// was, or if the provider was asked without a reason.
func BenchmarkBot(b *testing.B) {
	lasts := time.Minute
	if testing.Short() {
		lasts = 12 * time.Second
	}
	for b.Loop() {
		srv := &testserver.Server{TTL: 2 * time.Second}
		listening := httptest.NewServer(srv)
		var calls atomic.Int64
		client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: listening.URL}
		s, err := client.ConnectUser(b.Context(), feeds.User{ID: "alice"}, provider.Func(func(context.Context) (string, error) {
			calls.Add(1)
			return srv.Issue("alice"), nil
		}))
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ready := make(chan struct{})
		var heard sync.Map // how often each text was told
		var told, again atomic.Int64
		var listener sync.WaitGroup
		listener.Go(func() {
			for ev, err := range s.Events(ctx, "user:alice") {
				switch {
				case err != nil:
					return
				case ev.Type == feeds.EventConnected:
					close(ready)
				case ev.Type == feeds.EventReconnected:
					again.Add(1)
				case ev.Type == feeds.EventActivityAdded:
					n, _ := heard.LoadOrStore(ev.Activity.Text, new(atomic.Int64))
					n.(*atomic.Int64).Add(1)
					told.Add(1)
				}
			}
		})
		<-ready
		posted, failed := 0, 0
		for began, cut := time.Now(), time.Now(); time.Since(began) < lasts; posted++ {
			if time.Since(cut) > 3*time.Second {
				cut = time.Now()
				srv.CloseSockets("alice", 1006)
			}
			if _, err := s.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: fmt.Sprint(posted)}); err != nil {
				b.Error(err)
				failed++
			}
			time.Sleep(20 * time.Millisecond)
		}
		for waited := 0; told.Load() < int64(posted) && waited < 300; waited++ {
			time.Sleep(100 * time.Millisecond) // what is being recovered
		}
		cancel()
		listener.Wait()
		lost, doubled := 0, 0
		for i := range posted {
			switch n, ok := heard.Load(fmt.Sprint(i)); {
			case !ok:
				lost++
			case n.(*atomic.Int64).Load() > 1:
				doubled++
			}
		}
		s.Close()
		st := s.Stats()
		b.Logf("%s: %d posted, %d failed, %d events lost, %d told twice, over %d reconnections; %d provider calls for the first token and %d that ended",
			lasts, posted, failed, lost, doubled, again.Load(), calls.Load(), st.Refreshed-1)
		if failed+lost+doubled > 0 || calls.Load() != st.Refreshed || st.Unchanged+st.Failed > 0 || srv.Check() != nil {
			b.Errorf("stats %+v, %v", st, srv.Check())
		}
		listening.Close()
		srv.Close()
	}
}

type footprint struct {
	heap, stack uint64
	goroutines  int
}

// measure returns what is in use once everything that was going to end has ended.
func measure() footprint {
	time.Sleep(100 * time.Millisecond)
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return footprint{m.HeapAlloc, m.StackInuse, runtime.NumGoroutine()}
}
