package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// chaosPause is the time between two troubles, on average: long enough for the fleet to be at work
// again.
const chaosPause = 3 * time.Second

// chaos makes trouble for the store: it loses all its data, it takes no writes for a while, its
// master dies. One after the other, so that each has its turn. The last trouble begins two leases
// before the end at the latest: a worker that goes home when the store has just lost its answer
// takes that with it.
func (f *fleet) chaos(ctx context.Context, s *store) error {
	begins, stop := context.WithTimeout(ctx, f.duration-2*lease)
	defer stop()
	troubles := []func(context.Context, *store) (string, error){flush, pauseWrites, failOver}
	for n := 0; sleep(begins, chaosPause/2+rand.N(chaosPause)); n++ {
		what, err := troubles[n%len(troubles)](ctx, s)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("making trouble: %w", err)
		}
		f.mu.Lock()
		f.seen.troubles++
		f.news = append(f.news, what)
		f.mu.Unlock()
	}
	return nil
}

// flush empties the store.
func flush(ctx context.Context, s *store) (string, error) {
	master, _, _ := s.master(ctx)
	client := master.client()
	defer client.Close()
	return "flushed Redis", client.FlushAll(ctx).Err()
}

// pauseWrites has the store answer to no write for longer than a lease. It returns when that is
// over.
//
// The pause holds back the Sentinel's own messages, too. If it took the master for dead then there
// would be two masters for a while, and each would give the lease away when the pause is over: the
// gap that package redisstore tells how to close. So it is told to be patient.
func pauseWrites(ctx context.Context, s *store) (what string, err error) {
	master, _, _ := s.master(ctx)
	client := master.client()
	defer client.Close()
	pause := 2 * lease
	if err := s.setPatience(ctx, 2*pause); err != nil {
		return "", err
	}
	err = client.Do(ctx, "CLIENT", "PAUSE", pause.Milliseconds(), "WRITE").Err()
	if err == nil && !sleep(ctx, pause) {
		err = ctx.Err()
	}
	if err == nil {
		err = s.awaitAnswer(ctx)
	}
	return fmt.Sprintf("had paused writes for %v", pause), errors.Join(err, s.setPatience(ctx, patience))
}

// failOver kills the master and waits until the Sentinel has made one of the replica. Then the dead
// one comes back, as its replica. The master dies when the replica has just caught up: what a
// replica lacks is lost with the master, and with it may be a login.
func failOver(ctx context.Context, s *store) (string, error) {
	old, next, _ := s.master(ctx)
	if err := caughtUp(ctx, old); err != nil {
		return "", err
	}
	old.kill()
	s.killed++
	err := await(ctx, "there is no new master", func() bool {
		now, _, settled := s.master(ctx)
		return now == next && settled
	})
	if err == nil {
		err = old.start(ctx, s.config(next))
	}
	if err == nil {
		err = s.awaitReplica(ctx)
	}
	return "killed the master, and " + next.name + " took over", err
}

// caughtUp returns when the replica has all that was written to the master so far.
func caughtUp(ctx context.Context, master *redisServer) error {
	client := master.client()
	defer client.Close()
	conn := client.Conn() // WAIT is about the writes of its own connection
	defer conn.Close()
	if err := conn.Set(ctx, "caught up", "yes", time.Minute).Err(); err != nil {
		return err
	}
	n, err := conn.Wait(ctx, 1, 10*time.Second).Result()
	if err == nil && n == 0 {
		err = errors.New("the replica does not catch up")
	}
	return err
}
