package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider/redisstore"
)

// A witness is a worker's store that remembers what it has told the worker.
type witness struct {
	*redisstore.Store

	mu   sync.Mutex // guards the fields below; never held across a call
	seen uint64     // the greatest version that the worker was told of
	last claim      // the last write that was acknowledged
}

// A claim is a write that the store has acknowledged. Versions grow, so two claims tell whether the
// store still had the first when it carried out the second.
type claim struct {
	seen    uint64 // the greatest version that its worker had been told of before
	over    uint64 // the version that it replaced
	version uint64
}

// claimHeader carries a worker's claim in its calls of the backend: "seen over version".
const claimHeader = "X-Fleet-Claim"

// Load implements [shared.Store].
func (w *witness) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	record, version, err := w.Store.Load(ctx, key)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = max(w.seen, version)
	return record, version, err
}

// CompareAndSwap implements [shared.Store].
func (w *witness) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	next, err := w.Store.CompareAndSwap(ctx, key, record, version)
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = claim{seen: w.seen, over: version, version: next}
	w.seen = max(w.seen, next)
	return next, nil
}

// String is what goes into claimHeader.
func (w *witness) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.last.seen, w.last.over, w.last.version)
}

// A tokenCall is a call of the backend, as the fleet has seen it.
type tokenCall struct {
	at       time.Time
	worker   string
	token    [sha256.Size]byte // of the refresh token
	claim    claim
	rejected bool
}

// callOf reads a call of the backend.
func callOf(r *http.Request, body []byte) tokenCall {
	var sent struct {
		RefreshToken string `json:"refresh_token"`
	}
	_ = json.Unmarshal(body, &sent)
	call := tokenCall{at: time.Now(), worker: r.Header.Get(workerHeader), token: sha256.Sum256([]byte(sent.RefreshToken))}
	_, _ = fmt.Sscan(r.Header.Get(claimHeader), &call.claim.seen, &call.claim.over, &call.claim.version)
	return call
}

// A reuse is a refresh token that was brought twice.
type reuse struct {
	first, again tokenCall
}

// reuses returns a reuse for each call that was rejected.
func reuses(calls []tokenCall) (found []reuse) {
	for i, again := range calls {
		if !again.rejected {
			continue
		}
		r := reuse{again: again}
		for _, first := range calls[:i] {
			if first.token == again.token && !first.rejected {
				r.first = first
			}
		}
		found = append(found, r)
	}
	return found
}

// unseen reports whether it was the gap that package redisstore documents: the store had
// acknowledged the first claim and had forgotten it when it took the second, whose worker had not
// been told of the first. No client can notice that.
func (r reuse) unseen() bool {
	lost := r.first.claim.version
	return lost > 0 && r.first.worker != r.again.worker && r.again.claim.over < lost && r.again.claim.seen < lost
}

// String tells of it.
func (r reuse) String() string {
	why := "for no reason that the program can prove"
	if r.unseen() {
		why = "because Redis had acknowledged the first claim, and did not have it when it took the second"
	}
	return fmt.Sprintf("worker %s brought a refresh token %v after worker %s, %s (the claims: %+v, %+v)",
		r.again.worker, r.again.at.Sub(r.first.at).Round(time.Millisecond), r.first.worker, why, r.first.claim, r.again.claim)
}
