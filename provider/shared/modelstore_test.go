package shared_test

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/stayauth/stayauth/provider/shared"
)

// operate is the way of an operation to the store and back. It returns whether it arrives there,
// and what becomes of the answer.
func (p *process) operate(ctx context.Context, op string) (arrives bool, lost error) {
	if err := p.step(); err != nil {
		return false, err
	}
	if p.w.plan.delay > 0 {
		if err := p.wait(ctx, time.Duration(p.rng.Int64N(int64(p.w.plan.delay)))); err != nil {
			return false, err
		}
	}
	if len(p.cuts) > 0 && time.Now().Before(p.cuts[len(p.cuts)-1].end) {
		return false, p.hang(ctx)
	}
	if p.w.down != nil {
		if err := p.w.down(op); errors.Is(err, errHang) {
			return false, p.hang(ctx)
		} else if err != nil {
			return false, err
		}
	}
	if p.rng.Float64() < p.w.plan.fails {
		switch p.rng.IntN(3) {
		case 0:
			return false, errors.New("model: lost on the way there")
		case 1:
			return true, errors.New("model: lost on the way back")
		default:
			return false, p.hang(ctx)
		}
	}
	return true, nil
}

// hang hangs.
func (p *process) hang(ctx context.Context) error {
	if err := p.wait(ctx, time.Hour); err != nil {
		return err
	}
	return errors.New("model: hung for an hour")
}

// Load implements [shared.Store].
func (p *process) Load(ctx context.Context, _ string) ([]byte, uint64, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	arrives, lost := p.operate(ctx, "load")
	if lost != nil || !arrives {
		return nil, 0, lost
	}
	found := p.w.newest()
	p.seen = max(p.seen, found.version)
	p.knows = p.knows || bytes.Contains(found.record, []byte(`"token-`))
	if err := p.step(); err != nil {
		return nil, 0, err
	}
	return bytes.Clone(found.record), found.version, nil
}

// CompareAndSwap implements [shared.Store].
func (p *process) CompareAndSwap(ctx context.Context, _ string, record []byte, version uint64) (uint64, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	began := time.Now()
	arrives, lost := p.operate(ctx, "swap")
	if p.reads {
		return 0, cmpErr(lost, shared.ErrUnwritable)
	}
	p.wrote(began, lost)
	if !arrives {
		return 0, lost
	}
	if p.w.newest().version != version {
		return 0, cmpErr(lost, shared.ErrConflict)
	}
	p.w.version++
	next := p.w.version
	p.w.writes = append(p.w.writes, write{bytes.Clone(record), next, p, time.Now()})
	p.w.change()
	p.w.tell("%s writes version %d over %d: %s", p.name, next, version, record)
	if err := p.step(); err != nil {
		return 0, err
	}
	if lost != nil {
		return 0, lost
	}
	p.seen, p.written, p.vain = max(p.seen, next), time.Now(), time.Time{}
	return next, nil
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// wrote notes what has become of a write that began then. One that only came too late counts as
// little as one that fails: what has to be saved is not.
func (p *process) wrote(began time.Time, err error) {
	switch {
	case p.w.down != nil: // which keeps everyone from writing
		p.vain = time.Time{}
	case err != nil && p.vain.IsZero() && began.After(p.written):
		p.vain = began
	}
	if !p.vain.IsZero() {
		p.vainFor = max(p.vainFor, time.Since(p.vain))
	}
}
