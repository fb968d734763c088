package testserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

// The very client that a program ships, with the guard below it in place of the network. Its token
// is revoked between two requests, and nothing of that is to be seen but in the ledger.
func ExampleGuard() {
	guard := &testserver.Guard{} // in front of a handler of yours: testserver.Guard{Next: handler}
	defer guard.Close()

	client := &http.Client{Transport: &transport.Transport{
		Provider: provider.Func(func(ctx context.Context) (string, error) {
			return guard.Issue("alice"), nil // what your backend does
		}),
		Origins: []string{"https://api.example.com"},
		Base:    guard,
	}}
	post := func() {
		resp, err := client.Post("https://api.example.com/things", "text/plain", strings.NewReader("hello"))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Printf("%s %s", resp.Status, body)
	}
	post()
	guard.Revoke("alice")
	post()

	l := guard.Ledger()
	fmt.Println(l.Issued, "tokens,", l.Rejected, "rejected,", l.Effects, "effects,", guard.Check())
	// Output:
	// 200 OK alice
	// 200 OK alice
	// 2 tokens, 1 rejected, 2 effects, <nil>
}

// A program whose own backend hands out tokens, with single-use refresh tokens: the guard is that
// backend, too.
func ExampleGuard_backend() {
	guard := &testserver.Guard{Session: "alices-session", TTL: time.Minute}
	defer guard.Close()

	client := &http.Client{Transport: &transport.Transport{
		Provider: provider.HTTP{
			URL:     "https://app.example.com/token",
			UserID:  "alice",
			Session: provider.NewSecret("alices-session"),
			Client:  &http.Client{Transport: guard},
		},
		Base: guard,
	}}
	get := func() {
		resp, err := client.Get("https://api.example.com/things")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		fmt.Println(resp.Status)
	}
	get()
	guard.AdvanceClock(2 * time.Minute) // the token has expired, and the client doesn't know
	get()

	l := guard.Ledger()
	fmt.Println(l.TokenCalls, "token calls,", l.Reused, "refresh tokens used twice")
	// Output:
	// 200 OK
	// 200 OK
	// 2 token calls, 0 refresh tokens used twice
}

// On a port, for clients that no one can hand a RoundTripper.
func ExampleGuard_ServeHTTP() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", testserver.UserOf(r))
	})
	guard := &testserver.Guard{Next: hello}
	ts := httptest.NewServer(guard)
	defer ts.Close()

	for _, token := range []string{"", guard.Issue("alice")} {
		req, err := http.NewRequest("GET", ts.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%d %q %s\n", resp.StatusCode, resp.Header.Get("WWW-Authenticate"), body)
	}
	// Output:
	// 401 "Bearer realm=\"testserver\"" The request carries no token
	//
	// 200 "" hello alice
}

// An API that rejects in its own way, without a challenge, and the client that is told so.
func ExampleReason() {
	guard := &testserver.Guard{Reject: func(w http.ResponseWriter, _ *http.Request, reason testserver.Reason) {
		fmt.Println("the guard says:", reason)
		http.Error(w, "log in again", http.StatusUnauthorized)
	}}
	defer guard.Close()

	client := &http.Client{Transport: &transport.Transport{
		Provider:   provider.Func(func(context.Context) (string, error) { return guard.Issue("alice"), nil }),
		IsRejected: transport.Any401,
		Base:       guard,
	}}
	for range 2 {
		resp, err := client.Get("https://api.example.com/things")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
		guard.Revoke("alice")
	}
	// Output:
	// 200 OK
	// the guard says: The token was revoked
	// 200 OK
}
