//go:build unix

package redisstore_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startSentinel starts a Sentinel that watches over the master and promotes a replica two seconds
// after that has died. It returns its address.
func startSentinel(t testing.TB, master *server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor fleet 127.0.0.1 %s 1\n"+
		"sentinel down-after-milliseconds fleet 2000\nsentinel failover-timeout fleet 3000\n", port, dir, master.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr = "127.0.0.1:" + port
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	// By itself it takes no part for half a minute after it was kept from running for two seconds
	// (TILT). Redis before 7.0 can't be told otherwise.
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := c.Do(t.Context(), "SENTINEL", "DEBUG", "tilt-trigger", time.Minute.Milliseconds()).Err()
		if _, answered := err.(redis.Error); err == nil || answered {
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("the Sentinel does not answer: %v", err)
		}
	}
}

// awaitReplica waits until the Sentinel knows of a replica that it could promote.
func awaitReplica(t testing.TB, sentinel string) {
	t.Helper()
	c := redis.NewSentinelClient(&redis.Options{Addr: sentinel})
	defer c.Close()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		replicas, err := c.Replicas(t.Context(), "fleet").Result()
		if err == nil && len(replicas) > 0 && replicas[0]["master-link-status"] == "ok" && replicas[0]["flags"] == "slave" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the Sentinel knows of no replica: %v, %v", replicas, err)
		}
	}
}
