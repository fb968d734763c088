package withtransport_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
	"github.com/stayauth/stayauth/transport"
)

// A breaking store takes no writes while it is broken.
type breaking struct {
	shared.Store
	err    error
	broken atomic.Bool
}

func (b *breaking) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if b.broken.Load() {
		return 0, b.err
	}
	return b.Store.CompareAndSwap(ctx, key, record, version)
}

// A program that only closes its transport does not exit with the one copy of the next refresh
// token, and is told where it must.
func TestCloseWaitsUntilTheLoginIsSaved(t *testing.T) {
	for name, broken := range map[string]time.Duration{"mended": 40 * time.Second, "not mended": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &breaking{Store: new(storetest.Memory), err: errors.New("disk: no")}
				backend := provider.TokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
					store.broken.Store(true) // the answer comes when the store has just failed
					time.AfterFunc(broken, func() { store.broken.Store(false) })
					return provider.NewToken("token-1", time.Time{}).WithRefreshToken("secret-1"), nil
				})
				login := &shared.Login{Provider: backend, Store: store, Key: "alice", Logger: slog.New(slog.DiscardHandler)}
				if err := login.Login(t.Context(), provider.Token{}.WithRefreshToken("secret-0")); err != nil {
					t.Fatal(err)
				}
				tr := &transport.Transport{Provider: login, Logger: slog.New(slog.DiscardHandler)}
				if tok, err := tr.Token(t.Context()); err != nil || tok.Value() != "token-1" {
					t.Fatal(tok.Value(), err)
				}
				err := tr.Close()
				saved, lerr := (&shared.Login{Provider: backend, Store: store, Key: "alice"}).Token(t.Context(), provider.Token{})
				if name == "mended" {
					if err != nil || lerr != nil || saved.Value() != "token-1" {
						t.Errorf("Close: %v; then there is %q, %v", err, saved.Value(), lerr)
					}
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Close: %v; want to be told that it could not wait", err)
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// Where a person has to mend the store each request is told so at once, and a few seconds after it
// is mended they go through.
func TestMendedStoreIsFoundSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &breaking{Store: new(storetest.Memory), err: fmt.Errorf("disk full: %w", shared.ErrUnwritable)}
		calls := 0
		backend := provider.TokenFunc(func(context.Context, provider.Token) (provider.Token, error) {
			calls++
			return provider.NewToken(fmt.Sprint("token-", calls), time.Time{}).WithRefreshToken("secret"), nil
		})
		login := &shared.Login{Provider: backend, Store: store, Key: "alice", Logger: slog.New(slog.DiscardHandler)}
		tr := &transport.Transport{Provider: login, Logger: slog.New(slog.DiscardHandler)}
		defer tr.Close()
		tok, err := tr.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tr.Reject(tok)
		store.broken.Store(true)
		for range 70 {
			began := time.Now()
			if _, err := tr.Token(t.Context()); !errors.Is(err, shared.ErrUnwritable) || time.Since(began) != 0 {
				t.Fatalf("Token: %v after %v; want to be told at once what to mend", err, time.Since(began))
			}
			time.Sleep(time.Second)
		}
		store.broken.Store(false)
		mended := time.Now()
		for {
			tok, err = tr.Token(t.Context())
			if err == nil || time.Since(mended) > time.Minute {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if after := time.Since(mended); err != nil || tok.Value() != "token-2" || after > 6*time.Second || calls != 2 {
			t.Errorf("Token = %q, %v, %v after it was mended, %d calls; want token-2 within 6s, 2 calls", tok.Value(), err, after, calls)
		}
	})
}
