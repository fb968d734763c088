package shared_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// TestWait: who ends a program after its callers have given up waits until the answer of the refresh that goes on is saved.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(storetest.Memory)
		slow := tokens(func() provider.Token {
			time.Sleep(10 * time.Second)
			return provider.NewToken("first", time.Time{}).WithRefreshToken("r")
		})
		login := &shared.Login{Provider: slow, Store: store, Key: "alice"}
		if err := login.Wait(t.Context()); err != nil {
			t.Errorf("with nothing under way: %v", err)
		}
		began := time.Now()
		go func() { _, _ = login.Token(t.Context(), provider.Token{}) }()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := login.Wait(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := login.Wait(t.Context()); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if record, _, err := store.Load(t.Context(), "alice"); err != nil || len(record) == 0 {
			t.Errorf("%d bytes are saved, %v", len(record), err)
		}
	})
	if err := new(shared.Login).Wait(t.Context()); err != nil {
		t.Errorf("a Login that can't work: %v", err)
	}
}
