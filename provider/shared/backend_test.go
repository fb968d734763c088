package shared_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// Token implements [provider.TokenProvider]: it calls the backend.
func (p *process) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if err := p.step(); err != nil {
		return provider.Token{}, err
	}
	refresh := old.RefreshToken()
	p.w.tell("%s calls the backend with %q", p.name, refresh)
	p.called, p.vainFor = time.Now(), 0
	if refresh == "" {
		return provider.Token{}, provider.Permanent(errors.New("backend: not logged in"))
	}
	if before := p.w.calls[refresh]; before != nil && (p.w.spent[refresh] || !before.dead) {
		p.w.usedTwice(refresh, before, p)
		return provider.Token{}, provider.Permanent(errors.New("backend: the refresh token was used before"))
	}
	p.w.calls[refresh] = p
	there, back := time.Duration(p.rng.Int64N(int64(p.w.plan.call))), time.Duration(p.rng.Int64N(int64(p.w.plan.call)))
	if err := p.wait(ctx, there); err != nil {
		return provider.Token{}, err
	}
	if p.rng.IntN(8) == 0 && !p.dead {
		delete(p.w.calls, refresh)
		p.w.tell("the backend fails for %s", p.name)
		return provider.Token{}, errors.New("backend: 503")
	}
	if err := p.step(); err != nil {
		return provider.Token{}, err
	}
	p.w.spent[refresh] = true
	m := mint{fmt.Sprintf("token-%d", len(p.w.mints)+1), fmt.Sprintf("secret-%d", len(p.w.mints)+1), refresh, p}
	p.w.mints = append(p.w.mints, m)
	expiry := time.Now().Add(modelLife)
	p.w.ends[m.token] = expiry
	if p.w.plan.newEnds {
		for token := range p.w.ends {
			if token != m.token {
				p.w.ends[token] = time.Now()
			}
		}
	}
	p.w.tell("the backend answers %s with %s", p.name, m.token)
	if err := p.step(); err != nil {
		return provider.Token{}, err
	}
	err := p.wait(ctx, back)
	if serr := p.step(); serr != nil || err != nil {
		return provider.Token{}, cmpErr(serr, err)
	}
	return provider.NewToken(m.token, expiry).WithRefreshToken(m.refresh), nil
}

// usedTwice judges a refresh token that was brought again: through a gap that is documented, or
// not. w.mu is held.
func (w *world) usedTwice(refresh string, before, again *process) {
	w.tell("%s brings %q, which %s has brought before", again.name, refresh, before.name)
	for _, f := range w.forgets {
		for _, lost := range f.lost {
			if lost.by != before || f.seen[again] >= lost.version {
				continue
			}
			switch {
			// The claim, or the answer.
			case f.seen[again] <= f.restored, bytes.Contains(lost.record, []byte(`"token-`)) && !bytes.Contains(lost.record, []byte(refresh+`"`)):
				w.slip("the store forgot what this process had not seen")
				return
			case again.lease < before.lease:
				w.slip("the store forgot a claim, with a longer lease than this process's, that it had not seen")
				return
			}
		}
	}
	var cut time.Duration // since it called
	for _, c := range before.cuts {
		if c.end.After(before.called) {
			cut += c.end.Sub(c.begin)
		}
	}
	if max(cut, before.vainFor) >= before.lease*2/3 { // by what cut it off, or by one thing after the other
		w.slip("the holder was cut off for two thirds of its lease or longer")
		return
	}
	w.fail("the refresh token %q is used by %s and by %s", refresh, before.name, again.name)
}
