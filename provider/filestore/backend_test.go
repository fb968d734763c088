package filestore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// A backend issues tokens for single-use refresh tokens, and takes a secret that comes twice for
// stolen: the login is over. Its API holds each request until the token expires, which it does once
// all clients use it.
type backend struct {
	clients  int // how many requests make the token expire
	expiries int // after so many the API lets everybody go
	together int // calls for a token are answered once so many have come, or after a while

	mu          sync.Mutex // guards the fields below
	calls       int
	current     int // the number of the token that is good
	reused      int // how often a spent refresh token was brought
	waiting     int
	expired     chan struct{} // closed when the current token expires
	arrived     chan struct{} // closed when together calls have come
	expiriesRun int
}

func newBackend(clients, expiries, together int) *backend {
	return &backend{clients: clients, expiries: expiries, together: together, expired: make(chan struct{}), arrived: make(chan struct{})}
}

func token(n int) string  { return fmt.Sprintf("token-%d", n) }
func secret(n int) string { return fmt.Sprintf("secret-%d", n) }
func login() provider.Token {
	return provider.NewToken(token(0), time.Time{}).WithRefreshToken(secret(0))
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/token":
		b.serveToken(w, r)
	case "/api":
		b.serveAPI(w, r)
	}
}

func (b *backend) serveToken(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.calls++
	if b.calls == b.together {
		close(b.arrived)
	}
	b.mu.Unlock()
	select {
	case <-b.arrived:
	case <-time.After(10 * time.Second): // for a control that does not race: it fails then
	case <-r.Context().Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reused > 0 || r.FormValue("secret") != secret(b.current) {
		b.reused++
		http.Error(w, "this refresh token was used before", http.StatusBadRequest)
		return
	}
	b.current++
	b.expired = make(chan struct{})
	b.waiting = 0
	_ = json.NewEncoder(w).Encode([]string{token(b.current), secret(b.current)})
}

func (b *backend) serveAPI(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	if r.FormValue("token") != token(b.current) {
		b.mu.Unlock()
		http.Error(w, "expired", http.StatusUnauthorized)
		return
	}
	expired := b.expired
	b.waiting++
	if b.waiting == b.clients {
		b.expiriesRun++
		close(expired)
	}
	done := b.expiriesRun > b.expiries
	b.mu.Unlock()
	select {
	case <-expired:
	case <-r.Context().Done():
	}
	b.mu.Lock()
	done = done || b.expiriesRun > b.expiries
	b.mu.Unlock()
	if !done {
		http.Error(w, "expired", http.StatusUnauthorized)
	}
}

// ask is the provider of the processes: it brings the secret to the backend.
type ask struct {
	url      string
	answered func()
}

func (a ask) Token(ctx context.Context, old provider.Token) (provider.Token, error) {
	status, body, err := get(ctx, a.url+"/token?secret="+url.QueryEscape(old.RefreshToken()))
	if err != nil {
		return provider.Token{}, err
	}
	if status != http.StatusOK {
		return provider.Token{}, provider.Permanent(errors.New(string(body)))
	}
	a.answered()
	var answer [2]string
	if err := json.Unmarshal(body, &answer); err != nil {
		return provider.Token{}, err
	}
	return provider.NewToken(answer[0], time.Time{}).WithRefreshToken(answer[1]), nil
}

func get(ctx context.Context, url string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// leave says that a client is gone: the others need not wait for it.
func (b *backend) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients--
	if b.waiting == b.clients && b.clients > 0 {
		b.expiriesRun++
		close(b.expired)
	}
}
