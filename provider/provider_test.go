package provider_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
)

func TestFunc(t *testing.T) {
	ctx := t.Context()
	token, err := provider.Func(func(got context.Context) (string, error) {
		if got != ctx {
			t.Error("the function got another context")
		}
		return jwtOf(`{"exp":1900000000,"iat":1899999000}`), nil
	}).Token(ctx, provider.Token{})
	if err != nil || token.Expiry().Unix() != 1900000000 || token.Lifetime() != 1000*time.Second {
		t.Errorf("a JWT gives expiry %v, lifetime %v, %v", token.Expiry(), token.Lifetime(), err)
	}

	token, err = provider.Func(func(context.Context) (string, error) { return "opaque", nil }).Token(ctx, provider.Token{})
	if err != nil || token.Value() != "opaque" || !token.Expiry().IsZero() || token.Lifetime() != 0 {
		t.Errorf("an opaque token gives %q, expiry %v, %v", token.Value(), token.Expiry(), err)
	}

	cause := errors.New("no backend")
	token, err = provider.Func(func(context.Context) (string, error) { return "ignored", cause }).Token(ctx, provider.Token{})
	if err != cause || !token.IsZero() {
		t.Errorf("an error comes back as %v with a token: %t", err, !token.IsZero())
	}

	if _, err := provider.Func(nil).Token(ctx, provider.Token{}); !provider.IsPermanent(err) {
		t.Errorf("a nil Func gives %v, want a permanent error", err)
	}
}

func TestTokenFunc(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, true)
	old, next, cause := withRefresh(), provider.NewToken("next", time.Unix(1900000000, 0)).WithRefreshToken("r"), errors.New("no backend")
	token, err := provider.TokenFunc(func(got context.Context, gotOld provider.Token) (provider.Token, error) {
		if got != ctx || gotOld != old {
			t.Error("the function got another context or another token")
		}
		return next, cause
	}).Token(ctx, old)
	if token != next || err != cause {
		t.Errorf("what the function returned comes back as %q, %v", token.Value(), err)
	}
	if _, err := provider.TokenFunc(nil).Token(ctx, old); !provider.IsPermanent(err) {
		t.Errorf("a nil TokenFunc gives %v, want a permanent error", err)
	}
}

func TestMarks(t *testing.T) {
	cause := errors.New("the cause")
	wrap := func(err error) error { return fmt.Errorf("wrapped: %w", err) }
	tests := []struct {
		name      string
		err       error
		permanent bool
		delay     time.Duration
		delayed   bool
	}{
		{"unmarked", cause, false, 0, false},
		{"permanent", provider.Permanent(cause), true, 0, false},
		{"permanent, wrapped", wrap(provider.Permanent(wrap(cause))), true, 0, false},
		{"permanent, joined", errors.Join(errors.New("x"), provider.Permanent(cause)), true, 0, false},
		{"retry after", provider.RetryAfter(cause, time.Second), false, time.Second, true},
		{"retry after 0", provider.RetryAfter(cause, 0), false, 0, true},
		{"retry after less than 0", provider.RetryAfter(cause, -time.Second), false, 0, true},
		{"retry after, wrapped", wrap(provider.RetryAfter(wrap(cause), time.Minute)), false, time.Minute, true},
		{"both", provider.Permanent(provider.RetryAfter(cause, time.Second)), true, time.Second, true},
	}
	for _, tt := range tests {
		delay, delayed := provider.RetryDelay(tt.err)
		if provider.IsPermanent(tt.err) != tt.permanent || delay != tt.delay || delayed != tt.delayed {
			t.Errorf("%s: permanent %t, delay %v %t; want %t, %v %t", tt.name, provider.IsPermanent(tt.err), delay, delayed,
				tt.permanent, tt.delay, tt.delayed)
		}
		if !errors.Is(tt.err, cause) {
			t.Errorf("%s: the cause can't be reached", tt.name)
		}
	}
	if got := provider.Permanent(provider.RetryAfter(cause, time.Second)).Error(); got != "the cause" {
		t.Errorf("a mark changes the text to %q", got)
	}
	if provider.Permanent(nil) != nil || provider.RetryAfter(nil, time.Second) != nil || provider.IsPermanent(nil) {
		t.Error("marking nil gives an error")
	}
}
