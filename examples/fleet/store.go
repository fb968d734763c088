package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// noDisk is the configuration of a server that forgets everything when it ends.
const noDisk = "save \"\"\nappendonly no\n"

// masterName is what the Sentinel calls the master.
const masterName = "fleet"

// patience is for how long the master may be silent until the Sentinel takes it for dead: longer
// than a busy machine keeps it from running.
const patience = 1500 * time.Millisecond

// A place is where the login is: how a worker reaches it.
type place struct {
	Addr     string // of the server, or of the Sentinel
	Sentinel bool
	Password string
}

// client returns a client, as a real program would make it.
func (p place) client() *redis.Client {
	if p.Sentinel {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: masterName, SentinelAddrs: []string{p.Addr}, SentinelPassword: p.Password, Password: p.Password,
			ContextTimeoutEnabled: true,
		})
	}
	return redis.NewClient(&redis.Options{Addr: p.Addr, Password: p.Password, ContextTimeoutEnabled: true})
}

// A store is the fleet's own Redis: one server, or two under a Sentinel.
type store struct {
	*redisFolder
	servers  []*redisServer
	sentinel *redisServer // nil: there is none
	killed   int          // masters, by failOver
}

// startStore starts the servers.
func startStore(ctx context.Context, sentinel bool) (*store, error) {
	folder, err := newRedisFolder()
	if err != nil {
		return nil, err
	}
	s := &store{redisFolder: folder}
	if err := s.start(ctx, sentinel); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *store) start(ctx context.Context, sentinel bool) error {
	master, err := s.redisFolder.start(ctx, "redis-1", s.config(nil))
	if err != nil || !sentinel {
		s.servers = []*redisServer{master}
		return err
	}
	replica, err := s.redisFolder.start(ctx, "redis-2", s.config(master))
	if err != nil {
		return err
	}
	s.servers = []*redisServer{master, replica}
	host, port, _ := net.SplitHostPort(master.addr)
	s.sentinel, err = s.redisFolder.start(ctx, "sentinel", fmt.Sprintf(
		"sentinel monitor %[1]s %[2]s %[3]s 1\nsentinel auth-pass %[1]s %[4]s\nsentinel down-after-milliseconds %[1]s %[5]d\n"+
			"sentinel failover-timeout %[1]s 3000", masterName, host, port, s.password, patience.Milliseconds()), "--sentinel")
	if err != nil {
		return err
	}
	s.steady(ctx)
	return s.awaitReplica(ctx)
}

// steady tells the Sentinel to go on where it was kept from running for a while. By itself it takes
// no part for half a minute after two seconds of that (TILT), and on a busy machine this may be just
// when the master has died. Redis before 7.0 can't be told; it is waited for.
func (s *store) steady(ctx context.Context) {
	client := s.sentinel.client()
	defer client.Close()
	_ = client.Do(ctx, "SENTINEL", "DEBUG", "tilt-trigger", time.Minute.Milliseconds()).Err()
}

// config is that of a replica of master, or of a master if that is nil.
func (s *store) config(master *redisServer) string {
	config := noDisk + "repl-diskless-sync-delay 0\nmasterauth " + s.password + "\n"
	if master != nil {
		host, port, _ := net.SplitHostPort(master.addr)
		config += fmt.Sprintf("replicaof %s %s\n", host, port)
	}
	return config
}

func (s *store) place() place {
	if s.sentinel != nil {
		return place{Addr: s.sentinel.addr, Sentinel: true, Password: s.password}
	}
	return place{Addr: s.servers[0].addr, Password: s.password}
}

// ask asks the Sentinel.
func (s *store) ask(do func(*redis.SentinelClient) bool) bool {
	c := redis.NewSentinelClient(&redis.Options{Addr: s.sentinel.addr, Password: s.password})
	defer c.Close()
	return do(c)
}

// master returns the server that is the master now, and the other one. settled is false while there
// is a failover.
func (s *store) master(ctx context.Context) (master, other *redisServer, settled bool) {
	master, other = s.servers[0], s.servers[1]
	settled = s.ask(func(c *redis.SentinelClient) bool {
		m, err := c.Master(ctx, masterName).Result()
		if err == nil && net.JoinHostPort(m["ip"], m["port"]) == other.addr {
			master, other = other, master
		}
		return err == nil && m["flags"] == "master"
	})
	return master, other, settled
}

// setPatience tells the Sentinel for how long the master may be silent.
func (s *store) setPatience(ctx context.Context, d time.Duration) (err error) {
	s.ask(func(c *redis.SentinelClient) bool {
		err = c.Set(ctx, masterName, "down-after-milliseconds", strconv.FormatInt(d.Milliseconds(), 10)).Err()
		return err == nil
	})
	return err
}

// awaitAnswer waits until the master has answered the Sentinel a moment ago.
func (s *store) awaitAnswer(ctx context.Context) error {
	return await(ctx, "the master does not answer the Sentinel", func() bool {
		return s.ask(func(c *redis.SentinelClient) bool {
			m, err := c.Master(ctx, masterName).Result()
			ago, aerr := strconv.Atoi(m["last-ok-ping-reply"])
			return err == nil && aerr == nil && ago < 500
		})
	})
}

// awaitReplica waits until there is a replica that could become the master.
func (s *store) awaitReplica(ctx context.Context) error {
	return await(ctx, "the Sentinel has no replica", func() bool {
		return s.ask(func(c *redis.SentinelClient) bool {
			replicas, err := c.Replicas(ctx, masterName).Result()
			for _, r := range replicas {
				if err == nil && r["flags"] == "slave" && r["master-link-status"] == "ok" {
					return true
				}
			}
			return false
		})
	})
}

// await waits until something is so, for at most a minute.
func await(ctx context.Context, otherwise string, is func() bool) error {
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after a minute", otherwise)
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// failovers returns how often the Sentinel has made another server the master.
func (s *store) failovers() int {
	if s.sentinel == nil {
		return 0
	}
	log, _ := os.ReadFile(s.sentinel.file("log"))
	return bytes.Count(log, []byte(" +switch-master "))
}
