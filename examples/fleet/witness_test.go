package main

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider/redisstore"
)

// TestReuses is about what the program can prove of a refresh token that came twice.
func TestReuses(t *testing.T) {
	one := sha256.Sum256([]byte("one"))
	first := tokenCall{worker: "1.1", token: one, claim: claim{seen: 10, over: 10, version: 20}}
	for name, test := range map[string]struct {
		again  tokenCall
		unseen bool
	}{
		"the store had lost the claim":               {tokenCall{worker: "2.1", claim: claim{seen: 10, over: 10, version: 30}}, true},
		"all was lost":                               {tokenCall{worker: "2.1", claim: claim{seen: 10, over: 0, version: 30}}, true},
		"the worker had seen the claim":              {tokenCall{worker: "2.1", claim: claim{seen: 20, over: 10, version: 30}}, false},
		"the store still had it":                     {tokenCall{worker: "2.1", claim: claim{seen: 20, over: 20, version: 30}}, false},
		"the store had something newer":              {tokenCall{worker: "2.1", claim: claim{seen: 10, over: 25, version: 30}}, false},
		"it is the same worker":                      {tokenCall{worker: "1.1", claim: claim{seen: 10, over: 10, version: 30}}, false},
		"a refresh token that was rejected at first": {tokenCall{worker: "2.1", token: sha256.Sum256(nil)}, false},
	} {
		test.again.rejected = true
		if test.again.token == [sha256.Size]byte{} {
			test.again.token = one
		}
		found := reuses([]tokenCall{first, {worker: "3.1", token: sha256.Sum256([]byte("two"))}, test.again})
		if len(found) != 1 || found[0].unseen() != test.unseen {
			t.Errorf("%s: %v; want one, which is the gap: %v", name, found, test.unseen)
		}
	}
	if found := reuses([]tokenCall{first}); len(found) != 0 {
		t.Errorf("of calls that were answered: %v", found)
	}
}

// TestWitness: a call of the backend carries what the store has told its worker.
func TestWitness(t *testing.T) {
	ctx := t.Context()
	s, err := startStore(ctx, false)
	if err != nil {
		t.Skip(err)
	}
	defer s.stop()
	client := s.place().client()
	defer client.Close()
	open := func(c *redis.Client) *witness { return &witness{Store: &redisstore.Store{Client: c}} }
	a, b := open(client), open(client)
	one, err := a.CompareAndSwap(ctx, "k", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Load(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	two, err := b.CompareAndSwap(ctx, "k", []byte("two"), one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.CompareAndSwap(ctx, "k", []byte("three"), one); err == nil {
		t.Fatal("a write over a version that has passed succeeded")
	}
	for _, test := range []struct {
		w    *witness
		want claim
	}{{a, claim{seen: 0, over: 0, version: one}}, {b, claim{seen: one, over: one, version: two}}} {
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/token", strings.NewReader(""))
		r.Header.Set(workerHeader, "1.1")
		r.Header.Set(claimHeader, test.w.String())
		got := callOf(r, []byte(`{"refresh_token":"one"}`))
		if got.claim != test.want || got.worker != "1.1" || got.token != sha256.Sum256([]byte("one")) {
			t.Errorf("%+v; want the claim %+v", got, test.want)
		}
	}
}
