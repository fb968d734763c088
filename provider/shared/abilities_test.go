package shared_test

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// login returns the process's part of the shared login, on a store that can do what the plan says.
func (p *process) login() *shared.Login {
	l := &shared.Login{Provider: p, Key: "model", Lease: p.lease, Logger: slog.New(slog.DiscardHandler)}
	switch p.w.plan.store {
	case "ages":
		l.Store = ager{p}
	case "locks":
		l.Store = locker{p}
	case "tells":
		l.Store = watcher{p}
	default:
		l.Store = p
	}
	return l
}

type ager struct{ *process }

// Age counts the time, too, in which no process could reach the store, as a server does.
func (a ager) Age(ctx context.Context, _ string, version uint64) (time.Duration, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if arrives, lost := a.operate(ctx, "load"); lost != nil || !arrives {
		return 0, lost
	}
	if a.w.newest().version != version {
		return 0, nil
	}
	return time.Since(a.w.newest().at), nil
}

type locker struct{ *process }

// TryLock takes the lock. A kernel does not fail, and takes it from the dead.
func (l locker) TryLock(context.Context, string) (func(), bool, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if err := l.step(); err != nil {
		return nil, false, err
	}
	if l.w.locked != nil {
		return nil, false, nil
	}
	l.w.locked = l.process
	return func() {
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		if l.w.locked == l.process {
			l.w.locked = nil
		}
	}, true, nil
}

type watcher struct{ *process }

// Watch tells of changes, unless it fails.
func (p watcher) Watch(ctx context.Context, _ string, version uint64) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if arrives, lost := p.operate(ctx, "load"); lost != nil || !arrives {
		return lost
	}
	for p.w.newest().version == version {
		changed := p.w.changed
		p.w.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		case <-p.w.over:
			err = errors.New("model: it is over")
		}
		p.w.mu.Lock()
		if err != nil {
			return err
		}
	}
	return p.step()
}

// change tells those who watch. w.mu is held.
func (w *world) change() {
	close(w.changed)
	w.changed = make(chan struct{})
}
