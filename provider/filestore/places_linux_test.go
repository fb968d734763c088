package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/shared"
)

// A counter is a backend that numbers its tokens. Its refresh tokens, if it has any, are good for a
// single use.
type counter struct {
	single bool
	calls  int
	asked  func() // called while it works; may be nil
}

func (c *counter) Token(_ context.Context, old provider.Token) (provider.Token, error) {
	c.calls++
	if c.single && old.RefreshToken() != secret(c.calls-1) {
		return provider.Token{}, provider.Permanent(errors.New("spent"))
	}
	if c.asked != nil {
		c.asked()
	}
	t := provider.NewToken(token(c.calls), time.Time{})
	if c.single {
		t = t.WithRefreshToken(secret(c.calls))
	}
	return t, nil
}

// placed returns the login of alice in s, saved with its first token, as a process sees it that has
// just begun.
func placed(t *testing.T, s *filestore.Store, c *counter, log *bytes.Buffer) *shared.Login {
	t.Helper()
	var first provider.Token
	if c.single {
		first = login()
	} else {
		first = provider.NewToken(token(0), time.Time{})
	}
	l := func() *shared.Login {
		return &shared.Login{Provider: c, Store: s, Key: "login", Logger: slog.New(slog.NewTextHandler(log, nil))}
	}
	if err := l().Login(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	return l()
}

// fill fills the file system that holds s until release is called.
func fill(t *testing.T, s *filestore.Store) (release func()) {
	t.Helper()
	filler := filepath.Join(s.Dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 1024))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(filler); err != nil {
			t.Error(err)
		}
	}
}

// TestClaimCannotBeWritten: where nothing can be lost each process gets a token of its own and says
// so once. With a refresh token at stake the backend is not asked, the error says why, and comes at
// once.
func TestClaimCannotBeWritten(t *testing.T) {
	for place, spoil := range map[string]func(t *testing.T, s *filestore.Store) (mend func()){
		"read-only": func(t *testing.T, s *filestore.Store) func() {
			remount := func(flags uintptr) {
				if err := syscall.Mount("", s.Dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
					t.Fatal(err)
				}
			}
			remount(syscall.MS_RDONLY)
			return func() { remount(0) }
		},
		"full": fill,
	} {
		for _, single := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, refresh tokens %v", place, single), func(t *testing.T) {
				s, _ := tmpfs(t, 64)
				backend, log := &counter{single: single}, new(bytes.Buffer)
				l := placed(t, s, backend, log)
				mend := spoil(t, s)

				first, err := l.Token(t.Context(), provider.Token{})
				if first.Value() != token(0) || err != nil || log.Len() > 0 {
					t.Fatalf("Token = %q, %v, and the log says %q; want what is there, in silence", first.Value(), err, log)
				}
				if single {
					for range 2 {
						_, err := l.Token(t.Context(), first)
						if !provider.IsNoRetry(err) || provider.IsPermanent(err) ||
							!strings.Contains(err.Error(), "no new token is asked for") || !strings.Contains(err.Error(), s.Dir) {
							t.Errorf("Token in place of the first: %v; want to be told at once, why and where", err)
						}
					}
					if backend.calls != 0 {
						t.Errorf("the backend was asked %d times, and what it answers can't be kept", backend.calls)
					}
				} else {
					old := first
					for n := range 3 {
						next, err := l.Token(t.Context(), old)
						if next.Value() != token(n+1) || err != nil {
							t.Fatalf("Token = %q, %v; want %q", next.Value(), err, token(n+1))
						}
						old = next
					}
					if n := strings.Count(log.String(), "can't be saved"); n != 1 {
						t.Errorf("it was said %d times; want once: %s", n, log)
					}
				}
				calls := backend.calls
				mend()
				next, err := l.Token(t.Context(), provider.NewToken(token(calls), time.Time{}))
				if next.Value() != token(calls+1) || err != nil {
					t.Errorf("Token after the place was mended = %q, %v; want %q", next.Value(), err, token(calls+1))
				}
				if record, _, err := s.Load(t.Context(), "login"); !bytes.Contains(record, []byte(token(calls+1))) || err != nil {
					t.Errorf("after the place was mended the newest token is not saved: %v", err)
				}
			})
		}
	}
}

// TestAnswerCannotBeSaved: the place fills up while the backend works. The token is used, and saved
// as soon as there is room, without another call; others wait for that rather than spend the
// refresh token again.
func TestAnswerCannotBeSaved(t *testing.T) {
	s, _ := tmpfs(t, 64)
	backend, log := &counter{single: true}, new(bytes.Buffer)
	l := placed(t, s, backend, log)
	var release func()
	backend.asked = func() { release = fill(t, s) }

	first, err := l.Token(t.Context(), provider.Token{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := l.Token(t.Context(), first)
	if next.Value() != token(1) || err != nil {
		t.Fatalf("Token = %q, %v; want the new one: it is good, and can't be had again", next.Value(), err)
	}
	release()
	for saved := false; !saved; { // in the background
		record, _, err := s.Load(t.Context(), "login")
		if err != nil {
			t.Fatal(err)
		}
		saved = bytes.Contains(record, []byte(token(1)))
	}
	other := &shared.Login{Provider: backend, Store: s, Key: "login"}
	if got, err := other.Token(t.Context(), first); got.Value() != token(1) || err != nil {
		t.Errorf("another process gets %q, %v; want %q", got.Value(), err, token(1))
	}
	if backend.calls != 1 {
		t.Errorf("%d calls of the backend, want 1", backend.calls)
	}
}
