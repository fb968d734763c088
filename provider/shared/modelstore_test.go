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
	began := time.Now()
	arrives, lost = p.travel(ctx, op)
	switch {
	case lost == nil:
		p.heard, p.unheard = time.Now(), time.Time{}
	case p.w.down != nil: // which keeps everyone from the store
		p.unheard = time.Time{}
	case p.unheard.IsZero() && began.After(p.heard):
		p.unheard = began
	}
	if !p.unheard.IsZero() {
		p.unheardFor = max(p.unheardFor, time.Since(p.unheard))
	}
	return arrives, lost
}

// travel is operate without the bookkeeping.
func (p *process) travel(ctx context.Context, op string) (arrives bool, lost error) {
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
	arrives, lost := p.operate(ctx, "swap")
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
	p.seen = max(p.seen, next)
	return next, nil
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
