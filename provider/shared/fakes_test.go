package shared_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// A singleUse backend rotates a refresh token, which may be used once. When a used one is brought
// it takes it for stolen, and rejects everyone for good: RFC 9700 section 4.14.2.
type singleUse struct {
	life time.Duration // of a token; 0: no expiry
	work time.Duration // how long a call takes; the refresh token is spent as it begins

	mu            sync.Mutex // guards the fields below
	calls, reused int
	running, most int // calls at the same time
	spent         map[string]bool
	given         []provider.Token // what it was called with
	next          error            // if set, the next call fails with it and spends nothing
}

// first is the token of a login with nothing spent yet.
func first() provider.Token {
	return provider.NewToken("token-0", time.Time{}).WithRefreshToken("secret-0")
}

func (b *singleUse) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	n, err := b.begin(old)
	defer b.end()
	if werr := wait(ctx, b.work); werr != nil {
		return provider.Token{}, werr
	}
	if err != nil {
		return provider.Token{}, err
	}
	var expiry time.Time
	if b.life > 0 {
		expiry = time.Now().Add(b.life)
	}
	return provider.NewToken(fmt.Sprintf("token-%d", n), expiry).WithRefreshToken(fmt.Sprintf("secret-%d", n)), nil
}

func (b *singleUse) begin(old provider.Token) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.given = append(b.given, old)
	b.running++
	b.most = max(b.most, b.running)
	if err := b.next; err != nil {
		b.next = nil
		return 0, err
	}
	if b.spent == nil {
		b.spent = make(map[string]bool)
	}
	if secret := old.RefreshToken(); secret != "" {
		if b.spent[secret] || b.reused > 0 {
			b.reused++
			return 0, provider.Permanent(errors.New("backend: the refresh token was used before"))
		}
		b.spent[secret] = true
	}
	return b.calls, nil
}

func (b *singleUse) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
}

// want checks how often the backend was called, and that none ever brought a used refresh token.
func (b *singleUse) want(t *testing.T, calls int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls != calls || b.reused != 0 {
		t.Errorf("the backend saw %d calls and %d used refresh tokens; want %d and 0", b.calls, b.reused, calls)
	}
}

// A network is one process's way to a store: it takes time, and can be told to fail.
type network struct {
	shared.Store
	delay time.Duration // before and after each operation

	mu           sync.Mutex // guards the fields below
	loads, swaps int
	// fault decides what becomes of an operation ("load" or "swap"): it is carried out or not, and
	// err is returned if not nil.
	fault func(op string) (carryOut bool, err error)
}

func (n *network) set(fault func(op string) (bool, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = fault
}

// reset begins to count anew.
func (n *network) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loads, n.swaps = 0, 0
}

// down loses all operations, before they arrive.
func down(string) (bool, error) { return false, errors.New("network: no route to the store") }

// hang has no operation answered.
func hang(string) (bool, error) { return false, errHang }

// hangWrites has no write answered.
func hangWrites(op string) (bool, error) {
	if op == "swap" {
		return hang(op)
	}
	return true, nil
}

// readOnly loses writes, before they arrive.
func readOnly(op string) (bool, error) {
	if op == "swap" {
		return down(op)
	}
	return true, nil
}

func (n *network) begin(ctx context.Context, op string) (bool, error) {
	n.mu.Lock()
	if op == "load" {
		n.loads++
	} else {
		n.swaps++
	}
	fault := n.fault
	n.mu.Unlock()
	if err := n.wait(ctx); err != nil {
		return false, err
	}
	if fault == nil {
		return true, nil
	}
	carryOut, err := fault(op)
	if errors.Is(err, errHang) {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return carryOut, err
}

var (
	errHang = errors.New("hang until the context ends")
	errLost = errors.New("network: lost")
)

func (n *network) wait(ctx context.Context) error { return wait(ctx, n.delay) }

// wait waits for d. Without a timer of 0: the race detector crashes where several goroutines of a bubble
// meet one that is due as they select, because Go 1.26 runs it in each of them with the bubble's one
// context for races.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *network) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	carryOut, err := n.begin(ctx, "load")
	if err != nil || !carryOut {
		return nil, 0, err
	}
	record, version, err := n.Store.Load(ctx, key)
	if werr := n.wait(ctx); werr != nil {
		return nil, 0, werr
	}
	return record, version, err
}

func (n *network) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	carryOut, fault := n.begin(ctx, "swap")
	if !carryOut {
		return 0, fault
	}
	next, err := n.Store.CompareAndSwap(ctx, key, record, version)
	if fault != nil {
		return 0, fault
	}
	if werr := n.wait(ctx); werr != nil {
		return 0, werr
	}
	return next, err
}

// A witness runs after each write that was carried out, before its caller knows.
type witness struct {
	shared.Store
	after func(write int)

	mu     sync.Mutex // guards writes
	writes int
}

func (w *witness) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	next, err := w.Store.CompareAndSwap(ctx, key, record, version)
	if err == nil {
		w.mu.Lock()
		w.writes++
		n := w.writes
		w.mu.Unlock()
		w.after(n)
	}
	return next, err
}

// A journal keeps what is logged.
type journal struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// count returns how many lines contain s.
func (j *journal) count(s string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.buf.String()) {
		if strings.Contains(line, s) {
			n++
		}
	}
	return n
}

// loggedIn returns a store in which the login that first describes is kept under "alice".
func loggedIn(t *testing.T) *storetest.Memory {
	t.Helper()
	m := new(storetest.Memory)
	if err := newLogin(new(singleUse), m, "alice").Login(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	return m
}

// raw returns the stored record, to see that it has not changed.
func raw(t *testing.T, s shared.Store) string {
	t.Helper()
	record, _, err := s.Load(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	return string(record)
}

func wantToken(t *testing.T, p provider.TokenProvider, old provider.Token, want string) provider.Token {
	t.Helper()
	token, err := p.Token(t.Context(), old)
	if err != nil {
		t.Errorf("Token: %v", err)
	}
	if token.Value() != want {
		t.Errorf("Token = %q, want %q", token.Value(), want)
	}
	return token
}

// wantEnded checks that the login is over for p, for good.
func wantEnded(t *testing.T, p provider.TokenProvider, old provider.Token) {
	t.Helper()
	token, err := p.Token(t.Context(), old)
	if !errors.Is(err, shared.ErrEnded) || !provider.IsPermanent(err) || !token.IsZero() {
		t.Errorf("Token = %v, %v; want a permanent ErrEnded", token, err)
	}
}

// newLogin returns a login with the defaults: one process's view of what s has under key.
func newLogin(p provider.TokenProvider, s shared.Store, key string) *shared.Login {
	return &shared.Login{Provider: p, Store: s, Key: key}
}
