package withtransport_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
	"github.com/stayauth/stayauth/transport"
)

// counted counts operations, each of which takes a millisecond.
type counted struct {
	shared.Store
	operations atomic.Int64
}

func (c *counted) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	c.operations.Add(1)
	time.Sleep(time.Millisecond)
	return c.Store.Load(ctx, key)
}

func (c *counted) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	c.operations.Add(1)
	time.Sleep(time.Millisecond)
	return c.Store.CompareAndSwap(ctx, key, record, version)
}

// A telling store is a [shared.Watcher].
type telling struct {
	shared.Store
	*bell
}

// A bell rings at each write.
type bell struct {
	mu   sync.Mutex // guards ring
	ring chan struct{}
}

func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ring == nil {
		b.ring = make(chan struct{})
	}
	return b.ring
}

func (s telling) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	next, err := s.Store.CompareAndSwap(ctx, key, record, version)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.ring != nil {
		close(s.ring)
		s.ring = nil
	}
	return next, err
}

func (s telling) Watch(ctx context.Context, key string, version uint64) error {
	for {
		ring := s.next()
		if _, found, err := s.Load(ctx, key); err != nil || found != version {
			return err
		}
		select {
		case <-ring:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestNewLoginIsSeen: a login has ended for an hour, and services that wait for the next go on
// asking their transports for a token. They have the new one within seconds, and cost the store
// little meanwhile.
func TestNewLoginIsSeen(t *testing.T) {
	for _, test := range []struct {
		name    string
		open    func(shared.Store, *bell) shared.Store
		most    time.Duration // until the last of them has it
		mostOps int           // of each in an hour
	}{
		{"told", func(s shared.Store, b *bell) shared.Store { return telling{s, b} }, 9 * time.Second, 500},
		{"polled", func(s shared.Store, _ *bell) shared.Store { return s }, 9 * time.Second, 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const services, without = 20, time.Hour
				m, b := &counted{Store: new(storetest.Memory)}, new(bell)
				permanent := provider.Func(func(context.Context) (string, error) { return "", provider.Permanent(errors.New("no login")) })
				operator := &shared.Login{Provider: permanent, Store: test.open(m, b), Key: "alice"}
				if err := operator.Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex // guards had
				had := make(map[string]int)
				began := time.Now()
				var wg sync.WaitGroup
				for i := range services {
					tr := &transport.Transport{Provider: &shared.Login{
						Provider: permanent, Store: test.open(m, b), Key: "alice", WaitForLogin: true, Logger: slog.New(slog.DiscardHandler),
					}}
					wg.Go(func() { // ends with the new login
						defer tr.Close()
						time.Sleep(time.Duration(i) * 3777 * time.Millisecond)
						for {
							token, err := tr.Token(t.Context())
							if err == nil {
								mu.Lock()
								had[token.Value()]++
								mu.Unlock()
								return
							}
							if time.Since(began) > 2*without {
								t.Errorf("no token: %v", err)
								return
							}
							time.Sleep(100 * time.Millisecond)
						}
					})
				}
				time.Sleep(without)
				ops := int(m.operations.Load())
				if err := operator.Login(t.Context(), provider.NewToken("new", time.Time{}).WithRefreshToken("r")); err != nil {
					t.Fatal(err)
				}
				told := time.Now()
				wg.Wait()
				late := time.Since(told)
				t.Logf("| %d services wait for a login, the store is %s | the last has it after %v, %d operations an hour and service |",
					services, test.name, late, ops/services)
				if late > test.most || had["new"] != services || ops > test.mostOps*services {
					t.Errorf("the last has it after %v, %v, %d operations an hour and service; want at most %v, all, %d",
						late, fmt.Sprint(had), ops/services, test.most, test.mostOps)
				}
			})
		})
	}
}
