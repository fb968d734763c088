package live_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/stayauth/stayauth/testserver/internal/live"
	"github.com/stayauth/stayauth/testserver/internal/login"
)

// A subject is a test server of which all tokens are as they are said to be.
type subject struct {
	done chan struct{}

	mu     sync.Mutex
	states map[string]string // of tokens; "": valid
	did    []live.Action
}

func newSubject() *subject {
	return &subject{done: make(chan struct{}), states: make(map[string]string)}
}

func (s *subject) Look(tokens []live.Token, users []live.User) live.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range tokens {
		tokens[i].State = s.states[tokens[i].ID]
		if tokens[i].State == "" {
			tokens[i].State = "valid"
		}
	}
	return live.View{Kind: "server", Check: []string{}}
}

func (s *subject) Do(a live.Action) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, a)
	return "the token", nil
}

func (s *subject) Done() <-chan struct{} { return s.done }

func (s *subject) set(token, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[token] = state
}

// meet has the feed know a token of the user.
func meet(f *live.Feed, user, id string) {
	f.Met(id, login.Token{User: user, Signed: true}, &login.TokenRecord{User: user, Issued: time.Now()})
}

// request is one that has just been answered.
func request(user, token string, kind live.Kind) live.Request {
	return live.Request{Begin: time.Now(), End: time.Now(), User: user, Token: token, Kind: kind, Status: 200, Op: "AddActivity"}
}

// visit makes a request to the page as the page itself does, changed by with.
func visit(h http.Handler, method, path, body string, with func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:54321"
	r.Header.Set("Page-Key", "none")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == "POST" {
		r.Header.Set("Origin", "http://127.0.0.1:8081")
		r.Header.Set("Content-Type", "application/json")
	}
	if with != nil {
		with(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
