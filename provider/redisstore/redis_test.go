//go:build unix

package redisstore_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server is a redis-server of the test's own.
type server struct {
	t    testing.TB
	port string
	args []string
	dir  string
	cmd  *exec.Cmd
}

// startRedis starts a redis-server on a free port of the loopback interface, with the given
// arguments. It ends with the test. The test is skipped where there is none.
func startRedis(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server on this machine: apt-get install redis-server")
	}
	s := &server{t: t, args: args, dir: t.TempDir()}
	for range 5 { // another may take the port before the server does
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, s.port, _ = net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		if err = s.start(); err == nil {
			t.Cleanup(s.kill)
			return s
		}
		t.Log(err)
	}
	t.Fatal("redis-server does not start")
	return nil
}

// start starts the server on its port, and returns when it is ready.
func (s *server) start() error {
	args := append([]string{"--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--daemonize", "no"}, s.args...)
	cmd := exec.Command("redis-server", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var log strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the server
			s.cmd = cmd
			return nil
		}
	}
	_ = cmd.Wait()
	return fmt.Errorf("redis-server ended:\n%s", &log)
}

// kill ends the server as a power failure would.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// restart starts the server again after kill.
func (s *server) restart() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	if sig != syscall.SIGSTOP {
		return
	}
	for { // until it has stopped: signals take a moment
		stat, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(s.cmd.Process.Pid), "stat"))
		if err != nil || bytes.Contains(stat, []byte(") T ")) {
			return
		}
	}
}

func (s *server) addr() string { return "127.0.0.1:" + s.port }

// client returns a new client of the server, closed with the test.
func (s *server) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.addr()})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// do runs a command.
func (s *server) do(args ...any) any {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr()})
	defer c.Close()
	result, err := c.Do(s.t.Context(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return result
}

// A proxy stands between a client and a server, and may cut their connections.
type proxy struct {
	addr string

	mu       sync.Mutex // guards the fields below
	target   string
	loseNext string // the answer to the next command that contains it is lost, and the connection with it
	conns    map[net.Conn]bool
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), target: target, conns: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		_ = l.Close()
		p.cut("")
	})
	go func() { // ends when the listener is closed
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

// serve ends when either side closes its connection, or cut does.
func (p *proxy) serve(client net.Conn) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	defer client.Close()
	server, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	p.keep(client, true)
	defer p.keep(client, false)

	var mu sync.Mutex // guards lose
	lose := false
	go func() { // ends when client is closed
		defer server.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := client.Read(buf)
			p.mu.Lock()
			if p.loseNext != "" && bytes.Contains(buf[:n], []byte(p.loseNext)) {
				p.loseNext = ""
				mu.Lock()
				lose = true
				mu.Unlock()
			}
			p.mu.Unlock()
			if _, werr := server.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		mu.Lock()
		lost := lose
		mu.Unlock()
		if err != nil || lost {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) keep(c net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.conns[c] = true
	} else {
		delete(p.conns, c)
	}
}

// cut closes all connections. New ones go to target, if it is not "".
func (p *proxy) cut(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if target != "" {
		p.target = target
	}
	for c := range p.conns {
		_ = c.Close()
	}
}

// lose loses the answer to the next command that contains s.
func (p *proxy) lose(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loseNext = s
}

// within bounds what waits in these tests; nothing should take nearly as long.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
