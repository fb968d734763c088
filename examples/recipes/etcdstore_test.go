package recipes_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

func TestEtcdStore(t *testing.T) {
	url := startEtcd(t)
	store := func(t *testing.T) shared.Store {
		client := &http.Client{Transport: &http.Transport{}}
		t.Cleanup(client.CloseIdleConnections)
		return recipes.EtcdStore{URL: url, Client: client, Prefix: "stayauth/"}
	}
	storetest.Run(t, store)
	storetest.RunLoss(t, store, func(t *testing.T) {
		everything := `{"key":"AA==","range_end":"AA=="}`
		want(t, "everything deleted", answerStatus(http.Post(url+"/v3/kv/deleterange", "application/json", bytes.NewReader([]byte(everything)))), "200 OK")
	})
}

func TestEtcdStoreMistake(t *testing.T) {
	for _, url := range []string{"", "http://[::1"} {
		_, _, err := recipes.EtcdStore{URL: url}.Load(t.Context(), "alice")
		want(t, fmt.Sprintf("Load with the URL %q is a permanent error", url), provider.IsPermanent(err), true)
	}
}

func answerStatus(resp *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	_ = resp.Body.Close()
	return resp.Status
}

// startEtcd starts an etcd of the test's own and returns its URL.
func startEtcd(t *testing.T) string {
	path, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("there is no etcd here (Debian: etcd-server)")
	}
	client, peer := "http://"+freeAddr(t), "http://"+freeAddr(t)
	ready := make(chan struct{})
	log := &watchedLog{wait: []byte("serving client traffic"), found: ready}
	// The kernel kills nothing with the test's process, so the context of the test has to.
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "--data-dir", t.TempDir(), "--logger", "zap", "--name", "test",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "test="+peer)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("etcd has ended:\n%s", log)
	case <-time.After(time.Minute):
		t.Fatalf("etcd is not ready:\n%s", log)
	}
	return client
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A watchedLog keeps what is written and closes found when wait has come.
type watchedLog struct {
	wait  []byte
	found chan struct{}
	mu    sync.Mutex // guards the fields below
	text  bytes.Buffer
	seen  bool
}

func (l *watchedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if !l.seen && bytes.Contains(l.text.Bytes(), l.wait) {
		l.seen = true
		close(l.found)
	}
	return len(b), nil
}

func (l *watchedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
