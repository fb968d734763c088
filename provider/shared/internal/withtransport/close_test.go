package withtransport_test

import (
	"context"
	"errors"
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
	broken atomic.Bool
}

func (b *breaking) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if b.broken.Load() {
		return 0, errors.New("disk: no")
	}
	return b.Store.CompareAndSwap(ctx, key, record, version)
}

// A program that only closes its transport does not exit with the one copy of the next refresh
// token, and is told where it must.
func TestCloseWaitsUntilTheLoginIsSaved(t *testing.T) {
	for name, broken := range map[string]time.Duration{"mended": 40 * time.Second, "not mended": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &breaking{Store: new(storetest.Memory)}
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
