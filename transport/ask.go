package transport

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport/internal/session"
)

// This file calls the token provider and looks at what it returns. No lock is held: both are
// anybody's code.

// ask calls the provider, in a goroutine of its own: a provider that ends its goroutine inside
// singleflight would leave it locked for ever, and one that panics there would end the process.
// That goroutine ends when the provider returns.
func (t *Transport) ask(c *call) (a session.Answer) {
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		a = session.Answer{Err: errGoexit, Final: true}
		defer func() {
			if v := recover(); v != nil {
				a = session.Answer{Err: &panicError{v}, Final: true}
				t.onProviderPanic(v, debug.Stack())
			}
		}()
		if t.isClosed() { // since the call was ordered
			a = session.Answer{Err: ErrClosed}
			return
		}
		tok, err := t.Provider.Token(c.ctx, c.old)
		a = t.judge(tok, err)
	}()
	<-returned
	return a
}

// judge looks at what the provider has returned. It is done here, once and with no lock held,
// because the methods of an error are anybody's code: they may panic.
func (t *Transport) judge(tok provider.Token, err error) (a session.Answer) {
	if err == nil {
		switch bad := t.checkToken(tok); {
		case bad == errEmpty:
			err = errNoToken
		case bad != nil:
			err = fmt.Errorf("the token provider returned an unusable token: %w", bad)
		}
		return session.Answer{Token: tok, Err: err, Final: true}
	}
	defer func() {
		if recover() != nil {
			a = session.Answer{Err: &badErrorError{reflect.TypeOf(err), "panics when it is looked at"}, Final: true}
		}
	}()
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return session.Answer{Err: &badErrorError{v.Type(), "is a nil pointer, which is not a nil error"}, Final: true}
	}
	_ = err.Error()
	a = session.Answer{Err: notOurs(err), Permanent: provider.IsPermanent(err), Final: provider.IsNoRetry(err)}
	if d, ok := provider.RetryDelay(err); ok && !a.Permanent {
		a.RetryAfter = min(d, maxDuration)
	}
	return a
}

// maxDuration is as good as for ever, and can be added to any time.
const maxDuration = 100 * 365 * 24 * time.Hour

// losable reports whether the answer to a call of p could be the only one of its kind: what p does
// may end a single-use refresh token, or write a store.
func losable(p provider.TokenProvider, old provider.Token) bool {
	if old.RefreshToken() != "" {
		return true
	}
	switch p.(type) {
	case provider.Func, provider.HTTP, *provider.HTTP:
		return false
	}
	return true
}
