package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// An API that accepts one token at a time.
func exampleAPI(valid *string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+*valid {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"message":"this token has been revoked"}`)
		}
	}))
}

// Wrap a client's transport, and requests never fail for a token again: here the first one is
// revoked.
func Example() {
	valid := "token-1"
	api := exampleAPI(&valid)
	defer api.Close()

	client := &http.Client{Transport: &transport.Transport{
		Provider: provider.Func(func(ctx context.Context) (string, error) {
			fmt.Println("asked for a token")
			return valid, nil // from your backend
		}),
	}}

	for range 2 {
		resp, err := client.Post(api.URL, "text/plain", strings.NewReader("hello"))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
		valid = "token-2"
	}
	// Output:
	// asked for a token
	// 200 OK
	// asked for a token
	// 200 OK
}

// A provider that knows the session to be over says so with provider.Permanent, and then everybody
// is told.
func ExampleRefreshError() {
	client := &http.Client{Transport: &transport.Transport{
		Provider: provider.Func(func(context.Context) (string, error) {
			return "", provider.Permanent(errors.New("the account was deleted"))
		}),
	}}
	_, err := client.Get("https://api.example.com/")
	var refresh *transport.RefreshError
	if errors.As(err, &refresh) && refresh.Permanent {
		fmt.Println(refresh)
	}
	// Output:
	// transport: no token, and asking again won't help: the account was deleted
}

// Trace tells what happens while it does, Stats what has happened so far.
func ExampleTrace() {
	valid := "token-1"
	api := exampleAPI(&valid)
	defer api.Close()

	tr := &transport.Transport{
		Provider: provider.Func(func(context.Context) (string, error) { return valid, nil }),
		Trace: &transport.Trace{
			Rejected: func(e transport.Rejected) { fmt.Println("rejected:", e.Message) },
			Replayed: func(e transport.Replayed) { fmt.Println("sent again:", e.Method) },
		},
	}
	defer tr.Close()
	client := &http.Client{Transport: tr}
	for range 2 {
		if resp, err := client.Get(api.URL); err == nil {
			resp.Body.Close()
		}
		valid = "token-2"
	}
	fmt.Println(tr.Stats().Refreshed, "tokens,", tr.Stats().Rejected, "rejection")
	// Output:
	// rejected: this token has been revoked
	// sent again: GET
	// 2 tokens, 1 rejection
}

// What is not a request through the client asks for the token by itself, and says when it was
// rejected.
func ExampleTransport_Token() {
	n := 0
	tr := &transport.Transport{Provider: provider.Func(func(context.Context) (string, error) {
		n++
		return fmt.Sprint("token-", n), nil
	})}
	defer tr.Close()

	dial := func(ctx context.Context) error {
		tok, err := tr.Token(ctx)
		if err != nil {
			return err
		}
		fmt.Println("hello,", tok.Value()) // the first frame of a WebSocket, say
		tr.Reject(tok)                     // the server's answer to it: rejected
		return nil
	}
	_ = dial(context.Background())
	_ = dial(context.Background())
	// Output:
	// hello, token-1
	// hello, token-2
}

// An API that answers a bare 401, or one with an error code of its own in the body.
func ExampleBodyCode() {
	_ = &transport.Transport{
		Provider:   provider.Static("token"),
		IsRejected: transport.BodyCode("code", 40), // or transport.Any401
	}
	resp := httptest.NewRecorder()
	resp.WriteHeader(http.StatusUnauthorized)
	fmt.Fprint(resp, `{"code":40,"message":"token is expired"}`)
	fmt.Println(transport.BodyCode("code", 40)(resp.Result()))
	// Output:
	// true
}

// One call among many that must not carry the token.
func ExampleWithoutToken() {
	valid := "token-1"
	api := exampleAPI(&valid)
	defer api.Close()
	client := &http.Client{Transport: &transport.Transport{Provider: provider.Static("token-1")}}
	req, _ := http.NewRequestWithContext(transport.WithoutToken(context.Background()), "GET", api.URL, nil)
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// 401 Unauthorized
}
