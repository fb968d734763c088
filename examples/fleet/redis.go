package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A redisServer is a Redis of our own, without a disk.
type redisServer struct {
	addr, password string
	dir            string // for its log
}

// startRedis starts redis-server on a free port of this machine.
func startRedis(ctx context.Context) (*redisServer, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("there is no redis-server on this machine: install it first (on Debian and Ubuntu: apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "fleet-redis-")
	if err != nil {
		return nil, err
	}
	r := &redisServer{password: rand.Text(), dir: dir}
	for range 3 { // somebody may take the port in between
		if err = r.start(ctx, program); err == nil {
			return r, nil
		}
	}
	os.RemoveAll(dir)
	return nil, err
}

func (r *redisServer) start(ctx context.Context, program string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.addr = l.Addr().String()
	l.Close()
	host, port, _ := net.SplitHostPort(r.addr)

	// As a daemon it is spared the terminal's Ctrl-C, and is there until the workers have gone.
	cmd := exec.CommandContext(ctx, program, "-")
	log := filepath.Join(r.dir, "log")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(
		"daemonize yes\nbind %s\nport %s\nrequirepass %s\nsave \"\"\nappendonly no\ndir %s\nlogfile %s\n", host, port, r.password, r.dir, log))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("redis-server: %w: %s", err, out)
	}
	client := r.client()
	defer client.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// The password makes sure that it is ours that answers.
		err := client.Ping(ctx).Err()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log)
			return fmt.Errorf("redis-server does not answer: %w: %s", err, said)
		}
	}
}

func (r *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: r.addr, Password: r.password, MaxRetries: -1})
}

func (r *redisServer) stop() {
	client := r.client()
	defer client.Close()
	_ = client.ShutdownNoSave(context.Background()).Err() // it never answers to that
	os.RemoveAll(r.dir)
}
