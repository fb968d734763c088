//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// TestSentinelStoodStill: the Sentinel does its work also after it was kept from running, as by a
// busy machine.
func TestSentinelStoodStill(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server on this machine")
	}
	t.Parallel()
	s, err := startStore(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	client := s.sentinel.client()
	defer client.Close()
	if err := client.Do(t.Context(), "SENTINEL", "DEBUG").Err(); err != nil {
		t.Skipf("this Redis can't be told to bear it: %v", err)
	}
	pid, err := readPID(s.sentinel.file("pid"))
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		sleep(t.Context(), 2500*time.Millisecond)
	}
	if _, err := failOver(t.Context(), s); err != nil {
		t.Error(err)
	}
	if log, _ := os.ReadFile(s.sentinel.file("log")); bytes.Contains(log, []byte("+tilt")) {
		t.Errorf("the Sentinel took no part for a while:\n%s", log)
	}
}
